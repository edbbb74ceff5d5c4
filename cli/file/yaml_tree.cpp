#include "cli/file/yaml_tree.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>

#include "sidecar/config/problem.hpp"

namespace tulle::cli {
namespace {

constexpr int kDeepest = 32;          // more than any file needs, and safe to recurse into
constexpr size_t kMostNodes = 20000;  // aliases can make a short file very large

class Copier {
 public:
  explicit Copier(FileProblems& problems) : problems_(problems) {}

  YamlTree copy(const YAML::Node& node, const std::string& path, int depth) {
    YamlTree tree;
    tree.line = node.Mark().line + 1;
    if (depth > kDeepest || ++nodes_ > kMostNodes) {
      if (!std::exchange(overflow_, true)) problems_.push_back({tree.line, path, "is too large"});
      return tree;
    }
    if (node.IsScalar()) {
      tree.kind = YamlTree::Kind::scalar;
      tree.text = node.Scalar();
      tree.quoted = node.Tag() == "!";
    } else if (node.IsSequence()) {
      tree.kind = YamlTree::Kind::sequence;
      for (size_t i = 0; i < node.size(); ++i) {
        tree.items.push_back(copy(node[i], path + "[" + std::to_string(i) + "]", depth + 1));
      }
    } else if (node.IsMap()) {
      tree.kind = YamlTree::Kind::mapping;
      copy_fields(node, path, depth, tree);
    }
    return tree;
  }

 private:
  void copy_fields(const YAML::Node& node, const std::string& path, int depth, YamlTree& tree) {
    for (const auto& entry : node) {
      const int line = entry.first.Mark().line + 1;
      if (!entry.first.IsScalar()) {
        problems_.push_back({line, path, "names must be plain text"});
        continue;
      }
      const std::string name = entry.first.Scalar();
      const std::string inner = path.empty() ? name : path + "." + name;
      const auto same = [&](const auto& field) { return field.first == name; };
      if (std::ranges::any_of(tree.fields, same)) {
        problems_.push_back({line, inner, "is given twice"});
        continue;
      }
      tree.fields.emplace_back(name, copy(entry.second, inner, depth + 1));
      if (tree.fields.back().second.line == 0) tree.fields.back().second.line = line;
    }
  }

  FileProblems& problems_;
  size_t nodes_ = 0;
  bool overflow_ = false;
};

}  // namespace

std::string FileProblem::text(std::string_view file) const {
  std::string text(file);
  if (line > 0) text += ":" + std::to_string(line);
  text += ": ";
  if (!path.empty()) text += path + ": ";
  return text + message;
}

std::optional<YamlTree> read_yaml(std::string_view text, FileProblems& problems) {
  const size_t before = problems.size();
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.size() > 1) {
      problems.push_back({documents[1].Mark().line + 1, "", "is a second document; one is expected"});
      return std::nullopt;
    }
    if (documents.empty() || documents[0].IsNull()) {
      problems.push_back({0, "", "is empty"});
      return std::nullopt;
    }
    YamlTree tree = Copier(problems).copy(documents[0], "", 0);
    if (problems.size() > before) return std::nullopt;
    return tree;
  } catch (const YAML::Exception& error) {
    problems.push_back({error.mark.line + 1, "",
                        "is not YAML: " + error.msg + " (column " +
                            std::to_string(error.mark.column + 1) + ")"});
    return std::nullopt;
  }
}

std::string_view kind_name(const YamlTree& value) {
  switch (value.kind) {
    case YamlTree::Kind::null: return "nothing";
    case YamlTree::Kind::scalar: return "a single value";
    case YamlTree::Kind::sequence: return "a list";
    case YamlTree::Kind::mapping: break;
  }
  return "a mapping";
}

FieldReader::FieldReader(const YamlTree& value, std::string path, FileProblems& problems)
    : value_(&value), line_(value.line), path_(std::move(path)), problems_(problems) {
  if (value.kind == YamlTree::Kind::mapping) return;
  value_ = nullptr;
  problems_.push_back({line_, path_, "must be a mapping (name: value), is " +
                                         std::string(kind_name(value))});
}

const YamlTree* FieldReader::find(const char* name) {
  known_.push_back(name);
  if (value_ == nullptr) return nullptr;
  for (const auto& [key, value] : value_->fields) {
    if (key == name) return value.kind == YamlTree::Kind::null ? nullptr : &value;
  }
  return nullptr;
}

std::string FieldReader::text(const char* name, std::string_view otherwise) {
  const YamlTree* value = find(name);
  if (value == nullptr) return std::string(otherwise);
  if (value->kind == YamlTree::Kind::scalar) return value->text;
  report(name, "must be text, is " + std::string(kind_name(*value)));
  return std::string(otherwise);
}

std::string FieldReader::required_text(const char* name) {
  const size_t before = problems_.size();
  std::string found = text(name);
  if (found.empty() && value_ != nullptr && problems_.size() == before) {
    report(name, "is missing");
  }
  return found;
}

uint64_t FieldReader::number(const char* name, uint64_t otherwise, uint64_t low, uint64_t high) {
  const YamlTree* value = find(name);
  if (value == nullptr) return otherwise;
  uint64_t number = 0;
  const std::string& digits = value->text;
  const char* end = digits.data() + digits.size();
  const auto [stopped, error] = std::from_chars(digits.data(), end, number);
  const bool fits = value->kind == YamlTree::Kind::scalar && error == std::errc() &&
                    stopped == end && !digits.empty() && number >= low && number <= high;
  if (fits) return number;
  report(name, "must be a whole number from " + std::to_string(low) + " to " +
                   std::to_string(high) +
                   (value->kind == YamlTree::Kind::scalar ? ", is " + digits : ""));
  return otherwise;
}

std::vector<std::string> FieldReader::texts(const char* name) {
  std::vector<std::string> found;
  const YamlTree* value = find(name);
  if (value == nullptr) return found;
  if (value->kind != YamlTree::Kind::sequence) {
    report(name, "must be a list, is " + std::string(kind_name(*value)));
    return found;
  }
  for (size_t i = 0; i < value->items.size(); ++i) {
    const YamlTree& item = value->items[i];
    if (item.kind == YamlTree::Kind::scalar) {
      found.push_back(item.text);
    } else {
      problems_.push_back({item.line, path_of(name) + "[" + std::to_string(i) + "]",
                           "must be text, is " + std::string(kind_name(item))});
    }
  }
  return found;
}

std::vector<std::pair<std::string, std::string>> FieldReader::pairs(const char* name) {
  std::vector<std::pair<std::string, std::string>> found;
  const YamlTree* value = find(name);
  if (value == nullptr) return found;
  if (value->kind != YamlTree::Kind::mapping) {
    report(name, "must be a mapping (name: value), is " + std::string(kind_name(*value)));
    return found;
  }
  for (const auto& [key, item] : value->fields) {
    if (item.kind == YamlTree::Kind::scalar || item.kind == YamlTree::Kind::null) {
      found.emplace_back(key, item.text);
    } else {
      problems_.push_back({item.line, path_of(name) + "." + key,
                           "must be text, is " + std::string(kind_name(item))});
    }
  }
  return found;
}

void FieldReader::finish() const {
  if (value_ == nullptr) return;
  for (const auto& [key, item] : value_->fields) {
    if (std::ranges::find(known_, key) != known_.end()) continue;
    const std::string_view meant = config::nearest(key, known_);
    std::string message = "is not a field here";
    if (!meant.empty()) message += "; did you mean \"" + std::string(meant) + "\"?";
    problems_.push_back({item.line, path_of(key), std::move(message)});
  }
}

std::string FieldReader::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

void FieldReader::report(const char* name, std::string message) const {
  int line = line_;
  if (value_ != nullptr) {
    for (const auto& [key, item] : value_->fields) {
      if (key == name && item.line > 0) line = item.line;
    }
  }
  problems_.push_back({line, path_of(name), std::move(message)});
}

}  // namespace tulle::cli
