// What a node says about itself in the first request of its stream. Pure; believed by nobody until
// it has been compared with the identity of the connection.
//
//   metadata.tulle = {"namespace", "service", "labels", "address", "outbound": "ip:port",
//                     "ports": [{"name", "port", "app_protocol", "inbound": "ip:port"}],
//                     "weight", "capture": {"outbound": port, "inbound": port, "ipv6", "transparent",
//                                           "mtls": "strict" or "permissive"}}
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "control-plane/build/mesh.hpp"
#include "control-plane/model/document.hpp"
#include "core/base/result.hpp"
#include "xds/messages.hpp"

namespace tulle::push {

struct SidecarNode {
  build::Node node;
  model::WorkloadSpec workload;  // what registration writes; without ports: nothing to register
};

// A node without the member "tulle" speaks xDS and nothing more: it gets the namespace and account
// of its identity and has no listeners. Errors (bad_request) name everything that is wrong.
Result<SidecarNode> read_node(const xds::Node& node, std::string_view identity_namespace,
                              std::string_view identity_account);

// spiffe://<trust domain>/ns/<namespace>/sa/<account>, of exactly this trust domain.
struct Account {
  std::string namespace_name;
  std::string name;
};
std::optional<Account> account_of_spiffe_id(std::string_view spiffe_id,
                                            std::string_view trust_domain);

}  // namespace tulle::push
