// Header mutations of routes, virtual hosts, tables and weighted clusters.
//
// For compile_route.cpp; protobuf types are declared only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sidecar/config/problem.hpp"
#include "sidecar/routing/route.hpp"

namespace envoy::config::core::v3 {
class HeaderValueOption;
}
namespace google::protobuf {
template <class Element>
class RepeatedPtrField;
}

namespace tulle::config {

using HeaderOptions =
    google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>;
using HeaderNames = google::protobuf::RepeatedPtrField<std::string>;

// Removals first, as everybody who implements this API does.
std::vector<routing::FieldChange> compile_changes(const HeaderOptions& add,
                                                  const HeaderNames& remove, const Place& add_place,
                                                  const Place& remove_place);

// Any message with the four fields of header mutations.
template <class Message>
routing::FieldChanges compile_changes_of(const Message& message, const Place& place) {
  return {compile_changes(message.request_headers_to_add(), message.request_headers_to_remove(),
                          place.field("request_headers_to_add"),
                          place.field("request_headers_to_remove")),
          compile_changes(message.response_headers_to_add(), message.response_headers_to_remove(),
                          place.field("response_headers_to_add"),
                          place.field("response_headers_to_remove"))};
}

// Appends what the enclosing scope changes.
void append_changes(routing::FieldChanges& changes, const routing::FieldChanges& outer);

// Bytes that may stand in a field value: no control characters, no line ends.
bool is_field_value(std::string_view text);

}  // namespace tulle::config
