// MessageWalk: visits the set fields of a protobuf message, knowing the path it stands at.
//
// Paths are built only when here() asks, because there are many fields and few problems.
// For .cpp files of this folder.
#pragma once

#include <utility>
#include <vector>

#include "sidecar/config/problem.hpp"

namespace google::protobuf {
class Any;
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace tulle::config {

class MessageWalk {
 public:
  explicit MessageWalk(const Place& root) : root_(root) {}
  virtual ~MessageWalk() = default;

  void walk(const google::protobuf::Message& message);

 protected:
  // True: go on into the field, when it holds messages.
  virtual bool on_field(const google::protobuf::Message& owner,
                        const google::protobuf::FieldDescriptor& field) = 0;
  // Before the fields of a message; not for messages of google.protobuf.
  virtual void on_message(const google::protobuf::Message&) {}
  // What is packed in an Any: nothing by default.
  virtual void on_packed(const google::protobuf::Any&) {}

  // Walks what is packed, when its type is known. A few megabytes can be packed into each other often
  // enough to exhaust the stack: beyond kMostPacked levels it is a problem.
  void walk_packed(const google::protobuf::Any& any);
  Place here() const;

  static constexpr int kMostPacked = 16;  // the deepest configuration that makes sense has 4

 private:
  void walk_field(const google::protobuf::Message& owner,
                  const google::protobuf::FieldDescriptor& field);

  Place root_;
  std::vector<std::pair<const google::protobuf::FieldDescriptor*, int>> steps_;
  int packed_ = 0;
};

}  // namespace tulle::config
