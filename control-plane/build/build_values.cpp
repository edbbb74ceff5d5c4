// Small values of xDS messages.
#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "control-plane/build/build_parts.hpp"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"

namespace tulle::build {

namespace core = envoy::config::core::v3;

std::string to_bytes(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&out);
  }
  return bytes;
}

void pack(const google::protobuf::Message& message, google::protobuf::Any& into) {
  into.set_type_url("type.googleapis.com/" + message.GetTypeName());
  into.set_value(to_bytes(message));
}

void set_duration(Duration value, google::protobuf::Duration& into) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(value);
  into.set_seconds(seconds.count());
  into.set_nanos(static_cast<int32_t>((value - seconds).count()));
}

void set_address(const Address& address, core::Address& into) {
  core::SocketAddress& socket = *into.mutable_socket_address();
  socket.set_address(address.ip());
  socket.set_port_value(address.port());
}

void use_ads(core::ConfigSource& source) {
  source.mutable_ads();
  source.set_resource_api_version(core::V3);
}

}  // namespace tulle::build
