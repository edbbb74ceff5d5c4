// Object: reads one JSON object field by field and reports what is left over; and readers of the
// values that several kinds share. For .cpp files of this folder.
//
// null is as if absent (an empty field in YAML). Every accessor makes its name known.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/model/document.hpp"
#include "control-plane/model/read.hpp"

namespace tulle::model {

class Object {
 public:
  Object(const nlohmann::json& value, Place place);  // not an object: reported, then looks empty

  bool is_object() const { return object_ != nullptr; }
  const nlohmann::json* find(const char* name);      // null: absent
  const nlohmann::json* required(const char* name);  // reported when absent
  const nlohmann::json* list(const char* name, size_t most);    // null: absent or no list
  const nlohmann::json* object(const char* name);               // null: absent or no object
  std::string text(const char* name);                           // empty: absent
  std::string required_text(const char* name);                  // reported when absent or empty
  std::optional<uint64_t> number(const char* name, uint64_t low, uint64_t high);
  uint64_t required_number(const char* name, uint64_t low, uint64_t high);  // 0: reported
  // Known to the format, refused by the mesh.
  void unsupported(const char* name, std::string why = "not supported yet");
  Place place(const char* name) const { return place_.field(name); }
  const Place& place() const { return place_; }
  void finish() const;  // reports the names nobody asked for

 private:
  const nlohmann::json* object_;
  Place place_;
  std::vector<std::string_view> known_;
};

std::string expected(const char* what, const nlohmann::json& found);

// One of `choices`, else reported with the nearest; -1: not a choice, or absent.
int read_choice(Object& object, const char* name, const std::vector<std::string_view>& choices);

StringMap read_labels(Object& object, const char* name);
AppProtocol read_app_protocol(Object& object);
// GEP-2257: "1h30m", "10s", "500ms"; "0s".
std::optional<Duration> read_duration(Object& object, const char* name);
std::string duration_text(Duration duration);  // the canonical form
// A DNS label, reported when it is not; empty: absent.
std::string read_label_name(Object& object, const char* name);
std::string required_label_name(Object& object, const char* name);

ServiceSpec read_service(const nlohmann::json& value, const Place& place);
WorkloadSpec read_workload(const nlohmann::json& value, const Place& place, bool stored);
HttpRouteSpec read_http_route(const nlohmann::json& value, const Place& place,
                              const std::string& own_namespace);

// Of a rule, or of a backend: there some are unsupported.
Filters read_filters(const nlohmann::json& list, const Place& place, bool of_backend);

}  // namespace tulle::model
