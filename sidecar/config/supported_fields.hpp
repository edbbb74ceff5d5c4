// refuse_unsupported: the list of what the sidecar honours, and the refusal of everything else.
//
// Default deny: a field that is declared in our .proto files but not in the table of
// supported_fields.cpp is reported when it is set. So a field cannot be accepted and forgotten.
// For .cpp files of this folder.
#pragma once

#include "sidecar/config/problem.hpp"

namespace google::protobuf {
class Message;
}

namespace tulle::config {

// Walks the whole message, except what is packed inside an Any: whoever unpacks it asks again.
void refuse_unsupported(const google::protobuf::Message& message, const Place& place);

}  // namespace tulle::config
