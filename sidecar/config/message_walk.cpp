#include "sidecar/config/message_walk.hpp"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>

#include "xds/catalog.hpp"

namespace tulle::config {

using google::protobuf::Any;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void MessageWalk::walk(const Message& message) {
  if (const auto* any = dynamic_cast<const Any*>(&message)) return on_packed(*any);
  if (message.GetDescriptor()->file()->package() == "google.protobuf") return;
  on_message(message);
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    steps_.emplace_back(field, -1);
    if (on_field(message, *field) && field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      walk_field(message, *field);
    }
    steps_.pop_back();
  }
}

void MessageWalk::walk_field(const Message& owner, const FieldDescriptor& field) {
  const auto& reflection = *owner.GetReflection();
  if (!field.is_repeated()) return walk(reflection.GetMessage(owner, &field));
  for (int i = 0; i < reflection.FieldSize(owner, &field); ++i) {
    steps_.back().second = i;
    walk(reflection.GetRepeatedMessage(owner, &field, i));
  }
}

void MessageWalk::walk_packed(const Any& any) {
  const std::unique_ptr<Message> message = xds::make_message(xds::message_of_url(any.type_url()));
  if (message == nullptr) return;
  if (packed_ == kMostPacked) {
    return here().invalid("messages are packed in each other more than " +
                          std::to_string(kMostPacked) + " times");
  }
  if (!message->ParseFromString(any.value())) return;
  ++packed_;
  walk(*message);
  --packed_;
}

Place MessageWalk::here() const {
  Place place = root_;
  for (const auto& [field, index] : steps_) {
    place = place.field(field->name());
    if (index >= 0) place = place.at(static_cast<size_t>(index));
  }
  return place;
}

}  // namespace tulle::config
