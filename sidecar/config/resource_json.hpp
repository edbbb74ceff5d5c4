// Resources as proto3 JSON: how static resources are written and how /config shows them.
//
// Reading is strict: every unknown field (with the nearest name), wrong type, unknown enum value
// and second member of a oneof is reported, inside Any too. Both field spellings of proto3 JSON are
// accepted, connect_timeout and connectTimeout.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/config/problem.hpp"
#include "xds/resource_set.hpp"

namespace google::protobuf {
class Message;
}

namespace tulle::config {

// `json`: one object with "@type". `origin` names it in problems: "static_resources[3]".
std::optional<xds::Resource> resource_from_json(std::string_view json, const std::string& origin,
                                                Problems& problems);

// Compact proto3 JSON with "@type", original field names. Private keys and passwords are replaced
// by "<redacted>".
std::string resource_to_json(const xds::Resource& resource);

// The resource as a message of its type. Null: its bytes are not well formed.
std::unique_ptr<google::protobuf::Message> parse_resource_message(const xds::Resource& resource);

// What a resource's message calls itself: "name", or "cluster_name" of endpoints.
std::string name_of_message(const google::protobuf::Message& message);
// The same from the bytes, for whoever receives them; nothing when they are not well formed.
std::optional<std::string> name_of_resource(const xds::Resource& resource);

// `static_resources[2] Cluster "web"`, or without the origin when there is none.
std::string title_of(const xds::Resource& resource);

}  // namespace tulle::config
