// The message types that may stand inside a google.protobuf.Any, by name.
//
// Explicit, no self-registration: a static library drops the generated code nobody mentions, and
// with it the descriptors that JSON reading and Any need.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

namespace google::protobuf {
class Message;
}

namespace tulle::xds {

// Full names such as "envoy.config.cluster.v3.Cluster", sorted. Calling it links them all.
const std::vector<std::string_view>& known_messages();

// An empty message of that full name; null: nobody knows it.
std::unique_ptr<google::protobuf::Message> make_message(std::string_view full_name);

// What follows the last '/' of a type URL; the whole text when there is none.
std::string_view message_of_url(std::string_view url);

}  // namespace tulle::xds
