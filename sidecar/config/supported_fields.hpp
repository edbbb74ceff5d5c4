// refuse_unsupported: the list of what the sidecar honours, and the refusal of everything else.
//
// Default deny: a field that is declared in our .proto files but neither in the table of
// supported_fields.cpp nor in that of a policy is reported when it is set. So a field cannot be
// accepted and forgotten. For .cpp files of this folder and of policies.
#pragma once

#include <initializer_list>
#include <string_view>

#include "sidecar/config/problem.hpp"

namespace google::protobuf {
class Message;
}

namespace tulle::config {

// What we do with the fields of a message. Several tables may speak of one message.
struct SupportedFields {
  using Names = std::initializer_list<std::string_view>;
  std::string_view message;
  Names honoured;      // read by the compile step
  Names harmless{};    // what they ask for is what we do anyway, or concerns no behaviour
  Names only_true{};   // BoolValue: we always do it
  Names only_false{};  // BoolValue: we never do it
};

// Walks the whole message, except what is packed inside an Any: whoever unpacks it asks again.
void refuse_unsupported(const google::protobuf::Message& message, const Place& place);

}  // namespace tulle::config
