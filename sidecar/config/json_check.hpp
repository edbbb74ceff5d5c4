// check_proto_json: does a JSON value fit a protobuf message? Reports every way in which not.
//
// For .cpp files of this folder: libprotobuf's own reader stops at the first fault and names
// neither path nor remedy. What passes here, it accepts.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "sidecar/config/problem.hpp"

namespace google::protobuf {
class Descriptor;
}

namespace tulle::config {

void check_proto_json(const nlohmann::json& value, const google::protobuf::Descriptor& type,
                      const Place& place);

}  // namespace tulle::config
