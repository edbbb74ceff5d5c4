// Strict JSON for files people write: syntax errors with line and column, no duplicate names, no
// absurd depth; and JsonObject, which reads an object field by field and reports what is left over.
//
// For .cpp files of this folder.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/config/problem.hpp"

namespace tulle::config {

// False when anything was reported; `value` is then unspecified.
bool parse_strict_json(std::string_view text, nlohmann::json& value, const Place& place);

// "a string", "an object", ... for messages.
const char* kind_of(const nlohmann::json& value);

// Reads one object. Every accessor makes its name known; finish() reports the names nobody asked
// for. A value that is not an object is reported once and then looks empty.
class JsonObject {
 public:
  JsonObject(const nlohmann::json& value, Place place);

  std::string text(const char* name, std::string_view otherwise = {});
  std::string required_text(const char* name);  // reported when missing or empty
  uint64_t number(const char* name, uint64_t otherwise, uint64_t low, uint64_t high);
  const nlohmann::json* find(const char* name);  // null: absent
  Place place(const char* name) const { return place_.field(name); }
  void finish() const;

 private:
  const nlohmann::json* object_;  // null: not an object
  Place place_;
  std::vector<std::string_view> known_;
};

}  // namespace tulle::config
