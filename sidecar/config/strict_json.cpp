#include "sidecar/config/strict_json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace tulle::config {

namespace {

using nlohmann::json;

// Deeper than any configuration, and shallow enough for code that recurses.
constexpr size_t kDeepest = 64;

// Walks the text once before a tree is built from it: the tree would keep only the last of two
// equal names, and code that walks a very deep tree would run out of stack.
class Inspector : public json::json_sax_t {
 public:
  Inspector(std::string_view text, const Place& place) : text_(text), place_(place) {}

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool string(string_t&) override { return value(); }
  bool binary(binary_t&) override { return value(); }
  bool start_object(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override {
    if (!open()) return false;
    levels_.back().is_array = true;
    return true;
  }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    levels_.back().name = name;
    if (!levels_.back().names.insert(name).second) path().invalid("is given twice");
    return true;
  }

  bool parse_error(size_t position, const std::string&, const json::exception& error) override {
    const std::string_view before = text_.substr(0, position > 0 ? position - 1 : 0);
    const auto line = 1 + std::ranges::count(before, '\n');
    const size_t start = before.rfind('\n') + 1;  // npos + 1 is 0
    // "[json.exception.parse_error.101] parse error at line 1, column 2: what we want"
    std::string_view what = error.what();
    const size_t column = what.find(", column ");
    const size_t colon = what.find(": ", column);
    if (column != std::string_view::npos && colon != std::string_view::npos) {
      what.remove_prefix(colon + 2);
    } else {
      what.remove_prefix(std::min(what.size(), what.find("] ") + 2));
    }
    place_.invalid("line " + std::to_string(line) + ", column " +
                   std::to_string(before.size() - start + 1) + ": " + std::string(what));
    return false;
  }

 private:
  struct Level {
    std::set<std::string> names;
    std::string name;
    size_t index = 0;
    bool is_array = false;
  };

  bool value() {
    if (!levels_.empty()) ++levels_.back().index;
    return true;
  }

  bool open() {
    if (levels_.size() == kDeepest) {
      path().invalid("is nested more than " + std::to_string(kDeepest) + " levels deep");
      return false;
    }
    levels_.emplace_back();
    return true;
  }

  bool close() {
    levels_.pop_back();
    return value();
  }

  Place path() const {
    Place place = place_;
    for (const Level& level : levels_) {
      place = level.is_array ? place.at(level.index) : place.field(level.name);
    }
    return place;
  }

  std::string_view text_;
  const Place& place_;
  std::vector<Level> levels_;
};

std::string expected(const char* what, const json& found) {
  return std::string("expected ") + what + ", found " + kind_of(found);
}

}  // namespace

bool parse_strict_json(std::string_view text, json& value, const Place& place) {
  const size_t before = place.problem_count();
  Inspector inspector(text, place);
  const bool complete = json::sax_parse(text, &inspector);
  if (!complete || place.problem_count() > before) return false;
  value = json::parse(text, nullptr, false);
  return !value.is_discarded();
}

const char* kind_of(const json& value) {
  switch (value.type()) {
    case json::value_t::null: return "null";
    case json::value_t::object: return "an object";
    case json::value_t::array: return "a list";
    case json::value_t::string: return "a string";
    case json::value_t::boolean: return value.get<bool>() ? "true" : "false";
    default: return "a number";
  }
}

JsonObject::JsonObject(const json& value, Place place)
    : object_(value.is_object() ? &value : nullptr), place_(std::move(place)) {
  if (object_ == nullptr) place_.invalid(expected("an object", value));
}

const json* JsonObject::find(const char* name) {
  known_.push_back(name);
  if (object_ == nullptr) return nullptr;
  const auto found = object_->find(name);
  return found == object_->end() ? nullptr : &*found;
}

std::string JsonObject::text(const char* name, std::string_view otherwise) {
  const json* value = find(name);
  if (value == nullptr) return std::string(otherwise);
  if (!value->is_string()) {
    place(name).invalid(expected("a string", *value));
    return std::string(otherwise);
  }
  return value->get<std::string>();
}

std::string JsonObject::required_text(const char* name) {
  const size_t before = place_.problem_count();
  const bool present = find(name) != nullptr;
  known_.pop_back();
  std::string value = text(name);
  if (object_ == nullptr || place_.problem_count() > before) return value;
  if (!present) {
    place(name).invalid("is missing");
  } else if (value.empty()) {
    place(name).invalid("must not be empty");
  }
  return value;
}

uint64_t JsonObject::number(const char* name, uint64_t otherwise, uint64_t low, uint64_t high) {
  const json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_number()) {
    place(name).invalid(expected("a number", *value));
    return otherwise;
  }
  if (!value->is_number_unsigned() || value->get<uint64_t>() < low ||
      value->get<uint64_t>() > high) {
    place(name).invalid("must be a whole number from " + std::to_string(low) + " to " +
                        std::to_string(high));
    return otherwise;
  }
  return value->get<uint64_t>();
}

void JsonObject::finish() const {
  if (object_ == nullptr) return;
  for (const auto& [name, value] : object_->items()) {
    if (std::ranges::find(known_, std::string_view(name)) != known_.end()) continue;
    std::string message = "unknown field";
    const std::string_view near = nearest(name, known_);
    if (!near.empty()) message.append("; did you mean \"").append(near).append("\"?");
    place_.field(name).invalid(std::move(message));
  }
}

}  // namespace tulle::config
