// yaml_json: a YAML stream as JSON values. For .cpp files of this folder.
//
// Bounded: depth, and the number of values after aliases are expanded, so that a short text cannot
// become a large tree. Plain scalars are read by the core schema of YAML 1.2 (yes and no are
// strings). Tags other than the standard ones, names given twice and complex keys are refused.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

#include "control-plane/model/read.hpp"

namespace tulle::model {

// One value per document; null for an empty one. Syntax errors name line and column. False when
// anything was reported.
bool parse_yaml(std::string_view text, std::vector<nlohmann::json>& documents, const Place& place,
                size_t most_documents);

}  // namespace tulle::model
