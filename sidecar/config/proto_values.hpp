// Small values of the xDS messages: durations, addresses, data sources, packed messages.
//
// For the compile_*.cpp files; protobuf types are declared only. Every function reports what is
// wrong at the given place and then returns nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/base/clock.hpp"
#include "core/net/address.hpp"
#include "sidecar/config/compile_context.hpp"

namespace google::protobuf {
class Any;
class Duration;
class Message;
class UInt32Value;
}  // namespace google::protobuf
namespace envoy::config::core::v3 {
class Address;
class SocketAddress;
class DataSource;
}  // namespace envoy::config::core::v3

namespace tulle::config {

// Not negative, at most a year.
std::optional<Duration> duration_of(const google::protobuf::Duration& value, const Place& place);
std::optional<Duration> positive_duration_of(const google::protobuf::Duration& value,
                                             const Place& place);

// Sets `into` when the value lies in the range.
void read_number(const google::protobuf::UInt32Value& value, uint32_t low, uint32_t high,
                 uint32_t& into, const Place& place);

// A numeric socket address. Port 0 means "any" and is for listeners only.
std::optional<Address> address_of(const envoy::config::core::v3::Address& value, bool allow_port_0,
                                  const Place& place);
std::optional<Address> address_of(const envoy::config::core::v3::SocketAddress& socket,
                                  bool allow_port_0, const Place& at);

// The content of a data source; a file's content comes from the materials.
std::optional<std::string> content_of(CompileContext& context,
                                      const envoy::config::core::v3::DataSource& source,
                                      const Place& place);

// Full name of what is packed; empty (and reported) when there is no type.
std::string packed_type(const google::protobuf::Any& any, const Place& place);

// Unpacks into `message`, whose type has been compared, and refuses unsupported fields.
bool unpack(const google::protobuf::Any& any, google::protobuf::Message& message,
            const Place& place);

// Parses the bytes of a resource, compares its name and refuses unsupported fields.
bool parse_into(const xds::Resource& resource, google::protobuf::Message& message,
                const Place& place);

template <class Message>
std::unique_ptr<Message> parse_resource(const xds::Resource& resource, const Place& place) {
  auto message = std::make_unique<Message>();
  if (!parse_into(resource, *message, place)) return nullptr;
  return message;
}

}  // namespace tulle::config
