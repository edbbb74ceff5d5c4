#include "sidecar/config/proto_values.hpp"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wrappers.pb.h>

#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "sidecar/config/resource_json.hpp"
#include "sidecar/config/supported_fields.hpp"
#include "xds/catalog.hpp"

namespace tulle::config {

namespace {

namespace core = envoy::config::core::v3;

constexpr int64_t kLongestSeconds = 365 * 24 * 3600;

}  // namespace

std::optional<Duration> duration_of(const google::protobuf::Duration& value, const Place& place) {
  if (value.seconds() < 0 || value.nanos() < 0) {
    place.invalid("must not be negative");
    return std::nullopt;
  }
  if (value.seconds() > kLongestSeconds || value.nanos() > 999'999'999) {
    place.invalid("must be at most a year");
    return std::nullopt;
  }
  return std::chrono::seconds(value.seconds()) + std::chrono::nanoseconds(value.nanos());
}

std::optional<Duration> positive_duration_of(const google::protobuf::Duration& value,
                                             const Place& place) {
  const std::optional<Duration> duration = duration_of(value, place);
  if (duration && *duration == Duration::zero()) {
    place.invalid("must be more than 0s");
    return std::nullopt;
  }
  return duration;
}

void read_number(const google::protobuf::UInt32Value& value, uint32_t low, uint32_t high,
                 uint32_t& into, const Place& place) {
  if (value.value() >= low && value.value() <= high) {
    into = value.value();
    return;
  }
  place.invalid("must be from " + std::to_string(low) + " to " + std::to_string(high));
}

std::optional<Address> address_of(const core::Address& value, bool allow_port_0,
                                  const Place& place) {
  if (!value.has_socket_address()) {
    place.invalid("needs a socket_address");
    return std::nullopt;
  }
  return address_of(value.socket_address(), allow_port_0, place.field("socket_address"));
}

std::optional<Address> address_of(const core::SocketAddress& socket, bool allow_port_0,
                                  const Place& at) {
  if (socket.protocol() != core::SocketAddress::TCP) {
    at.field("protocol").unsupported("only TCP is supported yet");
    return std::nullopt;
  }
  const bool has_port = socket.has_port_value();
  if (!has_port || socket.port_value() > UINT16_MAX ||
      (socket.port_value() == 0 && !allow_port_0)) {
    at.field("port_value").invalid(allow_port_0 ? "must be from 0 to 65535"
                                                : "must be from 1 to 65535");
    return std::nullopt;
  }
  const Result<Address> address =
      Address::parse(socket.address(), static_cast<uint16_t>(socket.port_value()));
  if (!address) {
    at.field("address").invalid("\"" + socket.address() + "\" is not an IP address");
    return std::nullopt;
  }
  return *address;
}

std::optional<std::string> content_of(CompileContext& context, const core::DataSource& source,
                                      const Place& place) {
  switch (source.specifier_case()) {
    case core::DataSource::kInlineString: return source.inline_string();
    case core::DataSource::kInlineBytes: return source.inline_bytes();
    case core::DataSource::kFilename: {
      const std::string* content = context.file(source.filename());
      if (content != nullptr) return *content;
      if (context.materials_complete()) {
        place.field("filename").unreadable(source.filename() + ": has not been read");
      }
      return std::nullopt;
    }
    case core::DataSource::kEnvironmentVariable: return std::nullopt;  // refused as unsupported
    case core::DataSource::SPECIFIER_NOT_SET: break;
  }
  place.invalid("needs one of filename, inline_bytes, inline_string");
  return std::nullopt;
}

std::string packed_type(const google::protobuf::Any& any, const Place& place) {
  std::string name(xds::message_of_url(any.type_url()));
  if (name.empty()) place.invalid("needs a typed_config with \"@type\"");
  return name;
}

bool unpack(const google::protobuf::Any& any, google::protobuf::Message& message,
            const Place& place) {
  if (!message.ParseFromString(any.value())) {
    place.invalid("is not a well-formed " + message.GetTypeName());
    return false;
  }
  refuse_unsupported(message, place);
  return true;
}

bool parse_into(const xds::Resource& resource, google::protobuf::Message& message,
                const Place& place) {
  if (!message.ParseFromString(resource.bytes)) {
    place.invalid("is not a well-formed " + message.GetTypeName());
    return false;
  }
  if (name_of_message(message) != resource.name) {
    place.invalid("is called \"" + name_of_message(message) + "\" inside");
    return false;
  }
  refuse_unsupported(message, place);
  return true;
}

}  // namespace tulle::config
