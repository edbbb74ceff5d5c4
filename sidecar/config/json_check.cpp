#include "sidecar/config/json_check.hpp"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/ascii.hpp"
#include "sidecar/config/strict_json.hpp"
#include "xds/catalog.hpp"

namespace tulle::config {

namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::OneofDescriptor;
using nlohmann::json;

void check_value(const json& value, const FieldDescriptor& field, const Place& place);

std::string expected(const char* what, const json& found) {
  return std::string("expected ") + what + ", found " + kind_of(found);
}

void suggest(std::string& message, std::string_view near) {
  if (!near.empty()) message.append("; did you mean \"").append(near).append("\"?");
}

// "1.5s": digits, up to nine of a fraction, s.
bool is_duration(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  if (!text.ends_with('s')) return false;
  text.remove_suffix(1);
  const size_t dot = text.find('.');
  const std::string_view whole = text.substr(0, dot);
  const std::string_view part =
      dot == std::string_view::npos ? std::string_view("0") : text.substr(dot + 1);
  const auto digits = [](std::string_view run) {
    return !run.empty() && std::ranges::all_of(run, [](char c) { return c >= '0' && c <= '9'; });
  };
  return digits(whole) && whole.size() <= 12 && digits(part) && part.size() <= 9;
}

bool is_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  return std::ranges::all_of(text, [](char c) {
    return is_alphanumeric(c) || c == '+' || c == '/' || c == '-' || c == '_';
  });
}

// Integers may be numbers or, as proto3 JSON writes 64-bit ones, strings of digits.
template <class Integer>
void check_integer(const json& value, const Place& place) {
  constexpr auto kMin = std::numeric_limits<Integer>::min();
  constexpr auto kMax = std::numeric_limits<Integer>::max();
  bool fits = false;
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    Integer number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    fits = error == std::errc() && end == text.data() + text.size() && !text.empty();
  } else if (value.is_number_unsigned()) {
    fits = std::cmp_less_equal(value.get<uint64_t>(), kMax);
  } else if (value.is_number_integer()) {
    const int64_t number = value.get<int64_t>();
    fits = std::cmp_greater_equal(number, kMin) && std::cmp_less_equal(number, kMax);
  } else {
    place.invalid(expected("a whole number", value));
    return;
  }
  if (!fits) {
    place.invalid("must be a whole number from " + std::to_string(kMin) + " to " +
                  std::to_string(kMax));
  }
}

void check_enum(const json& value, const EnumDescriptor& type, const Place& place) {
  std::vector<std::string_view> names;
  for (int i = 0; i < type.value_count(); ++i) names.push_back(type.value(i)->name());
  if (value.is_number_integer()) {
    const int64_t number = value.get<int64_t>();
    if (number < INT32_MIN || number > INT32_MAX ||
        type.FindValueByNumber(static_cast<int>(number)) == nullptr) {
      place.invalid("unknown value " + std::to_string(number));
    }
    return;
  }
  if (!value.is_string()) {
    place.invalid(expected("a name", value));
    return;
  }
  const std::string& name = value.get_ref<const std::string&>();
  if (type.FindValueByName(name) != nullptr) return;
  std::string message = "unknown value \"" + name + "\"";
  suggest(message, nearest(name, names));
  place.invalid(std::move(message));
}

void check_any(const json& value, const Place& place) {
  if (!value.is_object()) return place.invalid(expected("an object", value));
  const auto url = value.find("@type");
  if (url == value.end()) return place.invalid("\"@type\" is missing");
  if (!url->is_string()) return place.field("@type").invalid(expected("a string", *url));
  const std::string name(xds::message_of_url(url->get_ref<const std::string&>()));
  const auto& known = xds::known_messages();
  if (!std::ranges::binary_search(known, std::string_view(name))) {
    std::string message = "unknown type \"" + name + "\"";
    suggest(message, nearest(name.substr(name.rfind('.') + 1), known));
    return place.field("@type").invalid(std::move(message));
  }
  json content = value;
  content.erase("@type");
  check_proto_json(content, *DescriptorPool::generated_pool()->FindMessageTypeByName(name), place);
}

// True when the type has its own JSON form and has been checked here.
bool check_well_known(const json& value, const Descriptor& type, const Place& place) {
  if (type.file()->package() != "google.protobuf") return false;
  const std::string& name = type.name();
  if (name == "Any") {
    check_any(value, place);
  } else if (name == "Duration") {
    if (!value.is_string()) {
      place.invalid(expected("a duration such as \"1.5s\"", value));
    } else if (!is_duration(value.get_ref<const std::string&>())) {
      place.invalid("must be a duration such as \"1.5s\"");
    }
  } else if (name == "Struct") {
    if (!value.is_object()) place.invalid(expected("an object", value));
  } else if (name == "ListValue") {
    if (!value.is_array()) place.invalid(expected("a list", value));
  } else if (name.ends_with("Value") && name != "Value") {  // UInt32Value and the like
    check_value(value, *type.FindFieldByName("value"), place);
  }
  return true;
}

void check_value(const json& value, const FieldDescriptor& field, const Place& place) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return check_integer<int32_t>(value, place);
    case FieldDescriptor::CPPTYPE_INT64: return check_integer<int64_t>(value, place);
    case FieldDescriptor::CPPTYPE_UINT32: return check_integer<uint32_t>(value, place);
    case FieldDescriptor::CPPTYPE_UINT64: return check_integer<uint64_t>(value, place);
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      if (!value.is_number()) place.invalid(expected("a number", value));
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      if (!value.is_boolean()) place.invalid(expected("true or false", value));
      return;
    case FieldDescriptor::CPPTYPE_ENUM: return check_enum(value, *field.enum_type(), place);
    case FieldDescriptor::CPPTYPE_STRING:
      if (!value.is_string()) {
        place.invalid(expected("a string", value));
      } else if (field.type() == FieldDescriptor::TYPE_BYTES &&
                 !is_base64(value.get_ref<const std::string&>())) {
        place.invalid("must be base64");
      }
      return;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return check_proto_json(value, *field.message_type(), place);
  }
}

void check_field(const json& value, const FieldDescriptor& field, const Place& place) {
  if (field.is_map()) {
    if (!value.is_object()) return place.invalid(expected("an object", value));
    for (const auto& [key, entry] : value.items()) {
      check_value(entry, *field.message_type()->map_value(), place.key(key));
    }
  } else if (field.is_repeated()) {
    if (!value.is_array()) return place.invalid(expected("a list", value));
    for (size_t i = 0; i < value.size(); ++i) check_value(value[i], field, place.at(i));
  } else {
    check_value(value, field, place);
  }
}

void report_unknown(const std::string& key, const Descriptor& type, const Place& place) {
  std::vector<std::string_view> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  std::string message = "unknown field";
  suggest(message, nearest(key, names));
  place.field(key).invalid(std::move(message));
}

}  // namespace

void check_proto_json(const json& value, const Descriptor& type, const Place& place) {
  if (check_well_known(value, type, place)) return;
  if (!value.is_object()) return place.invalid(expected("an object", value));
  if (type.field_count() == 0 && !value.empty()) return place.unsupported();
  std::map<int, std::string> seen;                      // field number -> spelling
  std::map<const OneofDescriptor*, std::string> oneofs;  // oneof -> member that is set
  for (const auto& [key, content] : value.items()) {
    const FieldDescriptor* field = type.FindFieldByName(key);
    if (field == nullptr) field = type.FindFieldByCamelcaseName(key);
    if (field == nullptr) {
      report_unknown(key, type, place);
      continue;
    }
    const auto [first, inserted] = seen.emplace(field->number(), key);
    if (!inserted) {
      place.field(key).invalid("is given twice, also as \"" + first->second + "\"");
      continue;
    }
    if (content.is_null()) continue;  // as if absent
    if (const OneofDescriptor* oneof = field->containing_oneof()) {
      const auto [member, alone] = oneofs.emplace(oneof, key);
      if (!alone) {
        place.field(key).invalid("excludes \"" + member->second + "\"; only one may be set");
      }
    }
    check_field(content, *field, place.field(field->name()));
  }
}

}  // namespace tulle::config
