#include "control-plane/model/read_values.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control-plane/model/names.hpp"
#include "control-plane/model/service_rules.hpp"
#include "sidecar/config/strict_json.hpp"

namespace tulle::model {

using config::kind_of;
using config::nearest;
using nlohmann::json;

namespace {

constexpr size_t kMostLabels = 64;  // each one is compared for each endpoint and shown everywhere

std::string range_text(uint64_t low, uint64_t high) {
  return "must be a whole number from " + std::to_string(low) + " to " + std::to_string(high);
}

struct Unit {
  std::string_view name;
  Duration length;
};
constexpr Unit kUnits[] = {{"h", 1h}, {"ms", 1ms}, {"m", 1min}, {"s", 1s}};  // "ms" before "m"

// One to four parts of one to five digits and a unit.
std::optional<Duration> parse_duration(std::string_view text) {
  Duration total{};
  for (int parts = 0; !text.empty(); ++parts) {
    if (parts == 4) return std::nullopt;
    size_t digits = 0;
    int64_t count = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
      if (digits == 5) return std::nullopt;
      count = count * 10 + (text[digits++] - '0');
    }
    text.remove_prefix(digits);
    const auto unit = std::ranges::find_if(
        kUnits, [&](const Unit& candidate) { return text.starts_with(candidate.name); });
    if (digits == 0 || unit == std::end(kUnits)) return std::nullopt;
    total += count * unit->length;
    text.remove_prefix(unit->name.size());
  }
  return total;
}

}  // namespace

std::string expected(const char* what, const json& found) {
  return std::string("expected ") + what + ", found " + kind_of(found);
}

Object::Object(const json& value, Place place)
    : object_(value.is_object() ? &value : nullptr), place_(std::move(place)) {
  if (object_ == nullptr) place_.invalid(expected("an object", value));
}

const json* Object::find(const char* name) {
  known_.emplace_back(name);
  if (object_ == nullptr) return nullptr;
  const auto found = object_->find(name);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

const json* Object::required(const char* name) {
  const json* value = find(name);
  if (value == nullptr && object_ != nullptr) place(name).invalid("is missing");
  return value;
}

const json* Object::list(const char* name, size_t most) {
  const json* value = find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    place(name).invalid(expected("a list", *value));
    return nullptr;
  }
  if (value->size() > most) {
    place(name).invalid("has " + std::to_string(value->size()) + " entries, at most " +
                        std::to_string(most) + " are allowed");
    return nullptr;
  }
  return value;
}

const json* Object::object(const char* name) {
  const json* value = find(name);
  if (value == nullptr || value->is_object()) return value;
  place(name).invalid(expected("an object", *value));
  return nullptr;
}

std::string Object::text(const char* name) {
  const json* value = find(name);
  if (value == nullptr) return {};
  if (!value->is_string()) {
    place(name).invalid(expected("a string", *value));
    return {};
  }
  return value->get<std::string>();
}

std::string Object::required_text(const char* name) {
  const size_t before = place_.problem_count();
  if (required(name) == nullptr) return {};
  std::string value = text(name);
  if (value.empty() && place_.problem_count() == before) place(name).invalid("must not be empty");
  return value;
}

std::optional<uint64_t> Object::number(const char* name, uint64_t low, uint64_t high) {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    place(name).invalid(expected("a number", *value));
    return std::nullopt;
  }
  const bool fits = value->is_number_unsigned() && value->get<uint64_t>() >= low &&
                    value->get<uint64_t>() <= high;
  if (!fits) {
    place(name).invalid(range_text(low, high));
    return std::nullopt;
  }
  return value->get<uint64_t>();
}

uint64_t Object::required_number(const char* name, uint64_t low, uint64_t high) {
  if (required(name) == nullptr) return 0;
  return number(name, low, high).value_or(0);
}

void Object::unsupported(const char* name, std::string why) {
  if (find(name) != nullptr) place(name).unsupported(std::move(why));
}

void Object::finish() const {
  if (object_ == nullptr) return;
  for (const auto& [name, value] : object_->items()) {
    if (std::ranges::find(known_, std::string_view(name)) != known_.end()) continue;
    std::string message = "unknown field";
    const std::string_view near = nearest(name, known_);
    if (!near.empty()) message.append("; did you mean \"").append(near).append("\"?");
    place_.field(name).invalid(std::move(message));
  }
}

int read_choice(Object& object, const char* name, const std::vector<std::string_view>& choices) {
  const std::string value = object.text(name);
  if (value.empty()) {
    // What is there and empty is no choice either; a wrong type has been reported.
    const json* given = object.find(name);
    if (given != nullptr && given->is_string()) object.place(name).invalid("must not be empty");
    return -1;
  }
  const auto found = std::ranges::find(choices, std::string_view(value));
  if (found != choices.end()) return static_cast<int>(found - choices.begin());
  std::string message = "unknown value \"" + value + "\"; ";
  const std::string_view near = nearest(value, choices);
  if (!near.empty()) {
    message.append("did you mean \"").append(near).append("\"?");
  } else {
    message.append("one of:");
    for (const std::string_view choice : choices) message.append(" ").append(choice);
  }
  object.place(name).invalid(std::move(message));
  return -1;
}

StringMap read_labels(Object& object, const char* name) {
  StringMap labels;
  const json* map = object.object(name);
  if (map == nullptr) return labels;
  const Place place = object.place(name);
  if (map->size() > kMostLabels) {
    place.invalid("has more than " + std::to_string(kMostLabels) + " labels");
    return labels;
  }
  for (const auto& [key, value] : map->items()) {
    if (!is_label_key(key)) {
      place.key(key).invalid("is no label name: [prefix/]name of letters, digits, '-', '_', '.'");
    } else if (!value.is_string()) {
      place.key(key).invalid(expected("a string", value) + (value.is_number() || value.is_boolean()
                                                                ? "; put it in quotes"
                                                                : ""));
    } else if (!is_label_value(value.get_ref<const std::string&>())) {
      place.key(key).invalid("is no label value: at most 63 letters, digits, '-', '_', '.'");
    } else {
      labels.emplace(key, value.get<std::string>());
    }
  }
  return labels;
}

AppProtocol read_app_protocol(Object& object) {
  constexpr const char* kName = "appProtocol";
  const std::string value = object.text(kName);
  if (value.empty()) return AppProtocol::unspecified;
  if (const auto known = app_protocol_of(value)) return *known;
  for (const std::string_view known : {"https", "http2", "kubernetes.io/ws", "kubernetes.io/wss"}) {
    if (value == known) {
      object.place(kName).unsupported("\"" + value + "\" is not supported yet");
      return AppProtocol::unspecified;
    }
  }
  object.place(kName).invalid("unknown protocol \"" + value +
                              "\"; one of: http kubernetes.io/h2c grpc tcp tls redis mysql "
                              "postgresql mongodb amqp kafka; absent: found out per connection");
  return AppProtocol::unspecified;
}

std::optional<Duration> read_duration(Object& object, const char* name) {
  const std::string text = object.text(name);
  if (text.empty()) return std::nullopt;
  const std::optional<Duration> duration = parse_duration(text);
  if (!duration) {
    object.place(name).invalid("must be a duration such as \"10s\", \"500ms\" or \"1h30m\"");
  }
  return duration;
}

std::string duration_text(Duration duration) {
  if (duration == Duration::zero()) return "0s";
  std::string text;
  const auto part = [&](Duration unit, const char* name) {
    const auto count = duration / unit;
    if (count > 0) text.append(std::to_string(count)).append(name);
    duration -= count * unit;
  };
  part(1h, "h");
  part(1min, "m");
  part(1s, "s");
  part(1ms, "ms");
  return text;
}

std::string read_label_name(Object& object, const char* name) {
  std::string value = object.text(name);
  if (!value.empty() && !is_dns_label(value)) {
    object.place(name).invalid(
        "is no DNS label: at most 63 of a-z, 0-9 and '-', not beginning or ending with '-'");
  }
  return value;
}

std::string required_label_name(Object& object, const char* name) {
  if (object.required_text(name).empty()) return {};
  return read_label_name(object, name);
}

}  // namespace tulle::model
