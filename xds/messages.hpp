// The discovery messages as plain structs, and their wire form.
//
// Encoding never fails. Decoding refuses what is not the message; unknown fields are ignored.
// Resources stay bytes. Protobuf headers are in the .cpp only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "xds/resource_set.hpp"

namespace tulle::xds {

// google.rpc.Status: gRPC's numbers, see core/http/grpc_status.hpp.
struct Status {
  int code = 0;
  std::string message;
  friend bool operator==(const Status&, const Status&) = default;
};
inline constexpr int kStatusInvalidArgument = 3;
inline constexpr int kStatusNotFound = 5;

// core.v3.Node: who subscribes.
struct Node {
  std::string id;
  std::string cluster;
  std::string region, zone, sub_zone;
  std::string user_agent_name;
  std::string user_agent_version;
  std::string metadata_json;  // an object, compact; empty: none
  std::vector<std::string> client_features;
};

// google.protobuf.Any
struct PackedResource {
  std::string type_url;
  std::string bytes;
};

struct ResourceError {
  std::string name;
  Status status;
};

struct DiscoveryRequest {
  std::string version_info;
  std::optional<Node> node;
  std::vector<std::string> resource_names;
  std::string type_url;
  std::string response_nonce;
  std::optional<Status> error_detail;
};

struct DiscoveryResponse {
  std::string version_info;
  std::vector<PackedResource> resources;
  std::string type_url;
  std::string nonce;
  std::string control_plane;  // ControlPlane.identifier
  std::vector<ResourceError> resource_errors;
};

std::string encode(const DiscoveryRequest& request);
std::string encode(const DiscoveryResponse& response);
Result<DiscoveryRequest> decode_request(std::string_view bytes);
Result<DiscoveryResponse> decode_response(std::string_view bytes);

// Appends one `resources` entry of a DiscoveryResponse. Fields may come in any order on the wire,
// so a response is put together from bytes that every session shares.
void append_resource(std::string& response, const Resource& resource);
size_t wire_size(const Resource& resource);  // what append_resource() adds, about

// The identity service's messages (tulle.identity.v1).
struct SignRequest {
  std::string csr_pem;
  std::string join_token;  // empty: the caller's certificate speaks
};
struct SignResponse {
  std::string certificate_chain_pem;
  std::string trust_bundle_pem;
  int64_t not_after_unix_seconds = 0;
};
std::string encode(const SignRequest& request);
std::string encode(const SignResponse& response);
Result<SignRequest> decode_sign_request(std::string_view bytes);
Result<SignResponse> decode_sign_response(std::string_view bytes);

// Paths of the services.
inline constexpr std::string_view kAdsPath =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
inline constexpr std::string_view kSignPath = "/tulle.identity.v1.IdentityService/Sign";

}  // namespace tulle::xds
