"""Bootstrap files with blanks: "${name}" becomes a value, a number without its quotes."""
import json
import re


def fill(template_path, values):
    """The text of a template with its blanks filled in, checked to be JSON."""
    with open(template_path, encoding="utf-8") as template:
        text = template.read()

    def whole(match):
        value = values[match.group(1)]
        return str(value) if isinstance(value, int) else json.dumps(value)

    text = re.sub(r'"\$\{(\w+)\}"', whole, text)
    text = re.sub(r"\$\{(\w+)\}", lambda match: str(values[match.group(1)]), text)
    json.loads(text)
    return text
