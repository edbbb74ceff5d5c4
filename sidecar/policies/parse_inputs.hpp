// What the parse() of a policy is given, and what it says it reads. Declared only: headers of policies
// need no protobuf.
#pragma once

namespace google::protobuf {
class Message;
}
namespace tulle::config {
class Place;
struct SupportedFields;
}  // namespace tulle::config
