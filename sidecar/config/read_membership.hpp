// read_membership(): the fields of membership.hpp from the bootstrap's JSON, every problem with its
// path. For .cpp files of this folder.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "sidecar/config/membership.hpp"

namespace tulle::config {

class JsonObject;

// `identity` in its issued form has "directory".
bool is_issued_identity(const nlohmann::json& identity);
// Takes its fields out of the bootstrap's object; `identity` has its own, see is_issued_identity().
Membership read_membership(JsonObject& bootstrap);

}  // namespace tulle::config
