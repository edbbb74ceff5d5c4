#include "xds/messages.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/util/json_util.h>

#include <utility>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "tulle/identity/v1/identity.pb.h"

namespace tulle::xds {

namespace discovery = envoy::service::discovery::v3;
namespace identity = ::tulle::identity::v1;

namespace {

template <class Message>
std::string bytes_of(const Message& message) {
  return message.SerializeAsString();
}

template <class Message>
bool parse(Message& message, std::string_view bytes) {
  return bytes.size() <= INT32_MAX &&
         message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

Error not_a(std::string_view what) {
  return {Code::protocol_error, Origin::upstream, "the bytes are not a " + std::string(what)};
}

void write(const Status& from, google::rpc::Status& to) {
  to.set_code(from.code);
  to.set_message(from.message);
}

Status read(const google::rpc::Status& from) { return {from.code(), from.message()}; }

void write(const Node& from, envoy::config::core::v3::Node& to) {
  to.set_id(from.id);
  to.set_cluster(from.cluster);
  if (!from.region.empty() || !from.zone.empty() || !from.sub_zone.empty()) {
    to.mutable_locality()->set_region(from.region);
    to.mutable_locality()->set_zone(from.zone);
    to.mutable_locality()->set_sub_zone(from.sub_zone);
  }
  to.set_user_agent_name(from.user_agent_name);
  if (!from.user_agent_version.empty()) to.set_user_agent_version(from.user_agent_version);
  if (!from.metadata_json.empty()) {
    // Whoever filled the struct has checked that it is an object; anything else says nothing.
    const auto parsed =
        google::protobuf::util::JsonStringToMessage(from.metadata_json, to.mutable_metadata());
    if (!parsed.ok()) to.clear_metadata();
  }
  for (const std::string& feature : from.client_features) to.add_client_features(feature);
}

Node read(const envoy::config::core::v3::Node& from) {
  Node to;
  to.id = from.id();
  to.cluster = from.cluster();
  to.region = from.locality().region();
  to.zone = from.locality().zone();
  to.sub_zone = from.locality().sub_zone();
  to.user_agent_name = from.user_agent_name();
  to.user_agent_version = from.user_agent_version();
  if (from.has_metadata()) {
    const auto written =
        google::protobuf::util::MessageToJsonString(from.metadata(), &to.metadata_json);
    if (!written.ok()) to.metadata_json.clear();
  }
  to.client_features.assign(from.client_features().begin(), from.client_features().end());
  return to;
}

// Of a length-delimited field: tag, length, content.
size_t field_size(size_t content) {
  return 1 + google::protobuf::io::CodedOutputStream::VarintSize64(content) + content;
}

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void append_prefix(std::string& out, int field, size_t size) {
  constexpr int kLengthDelimited = 2;
  append_varint(out, static_cast<uint64_t>(field) << 3 | kLengthDelimited);
  append_varint(out, size);
}

size_t packed_size(const Resource& resource) {
  return field_size(type_url(resource.type).size()) + field_size(resource.bytes.size());
}

}  // namespace

std::string encode(const DiscoveryRequest& request) {
  discovery::DiscoveryRequest message;
  message.set_version_info(request.version_info);
  if (request.node) write(*request.node, *message.mutable_node());
  for (const std::string& name : request.resource_names) message.add_resource_names(name);
  message.set_type_url(request.type_url);
  message.set_response_nonce(request.response_nonce);
  if (request.error_detail) write(*request.error_detail, *message.mutable_error_detail());
  return bytes_of(message);
}

std::string encode(const DiscoveryResponse& response) {
  discovery::DiscoveryResponse message;
  message.set_version_info(response.version_info);
  for (const PackedResource& resource : response.resources) {
    google::protobuf::Any& packed = *message.add_resources();
    packed.set_type_url(resource.type_url);
    packed.set_value(resource.bytes);
  }
  message.set_type_url(response.type_url);
  message.set_nonce(response.nonce);
  if (!response.control_plane.empty()) {
    message.mutable_control_plane()->set_identifier(response.control_plane);
  }
  for (const ResourceError& error : response.resource_errors) {
    discovery::ResourceError& written = *message.add_resource_errors();
    written.mutable_resource_name()->set_name(error.name);
    write(error.status, *written.mutable_error_detail());
  }
  return bytes_of(message);
}

Result<DiscoveryRequest> decode_request(std::string_view bytes) {
  discovery::DiscoveryRequest message;
  if (!parse(message, bytes)) return not_a("DiscoveryRequest");
  DiscoveryRequest request;
  request.version_info = message.version_info();
  if (message.has_node()) request.node = read(message.node());
  request.resource_names.assign(message.resource_names().begin(), message.resource_names().end());
  request.type_url = message.type_url();
  request.response_nonce = message.response_nonce();
  if (message.has_error_detail()) request.error_detail = read(message.error_detail());
  return request;
}

Result<DiscoveryResponse> decode_response(std::string_view bytes) {
  discovery::DiscoveryResponse message;
  if (!parse(message, bytes)) return not_a("DiscoveryResponse");
  DiscoveryResponse response;
  response.version_info = message.version_info();
  response.resources.reserve(static_cast<size_t>(message.resources_size()));
  for (google::protobuf::Any& packed : *message.mutable_resources()) {
    response.resources.push_back({packed.type_url(), std::move(*packed.mutable_value())});
  }
  response.type_url = message.type_url();
  response.nonce = message.nonce();
  response.control_plane = message.control_plane().identifier();
  for (const discovery::ResourceError& error : message.resource_errors()) {
    response.resource_errors.push_back(
        {error.resource_name().name(), read(error.error_detail())});
  }
  return response;
}

size_t wire_size(const Resource& resource) { return field_size(packed_size(resource)); }

void append_resource(std::string& response, const Resource& resource) {
  using Response = discovery::DiscoveryResponse;
  using Any = google::protobuf::Any;
  const std::string_view url = type_url(resource.type);
  append_prefix(response, Response::kResourcesFieldNumber, packed_size(resource));
  append_prefix(response, Any::kTypeUrlFieldNumber, url.size());
  response.append(url);
  append_prefix(response, Any::kValueFieldNumber, resource.bytes.size());
  response.append(resource.bytes);
}

std::string encode(const SignRequest& request) {
  identity::SignRequest message;
  message.set_csr_pem(request.csr_pem);
  message.set_join_token(request.join_token);
  return bytes_of(message);
}

std::string encode(const SignResponse& response) {
  identity::SignResponse message;
  message.set_certificate_chain_pem(response.certificate_chain_pem);
  message.set_trust_bundle_pem(response.trust_bundle_pem);
  message.set_not_after_unix_seconds(response.not_after_unix_seconds);
  return bytes_of(message);
}

Result<SignRequest> decode_sign_request(std::string_view bytes) {
  identity::SignRequest message;
  if (!parse(message, bytes)) return not_a("SignRequest");
  return SignRequest{message.csr_pem(), message.join_token()};
}

Result<SignResponse> decode_sign_response(std::string_view bytes) {
  identity::SignResponse message;
  if (!parse(message, bytes)) return not_a("SignResponse");
  return SignResponse{message.certificate_chain_pem(), message.trust_bundle_pem(),
                      message.not_after_unix_seconds()};
}

}  // namespace tulle::xds
