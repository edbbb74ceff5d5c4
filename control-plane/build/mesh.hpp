// What the build knows besides documents: the mesh's own names, and the node that asks.
//
// Plain values. A Node is what a sidecar says about itself (push/node_metadata.hpp reads it) and is
// believed only after push has compared it with the identity of the connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control-plane/build/collector.hpp"
#include "control-plane/model/document.hpp"
#include "core/net/address.hpp"

namespace tulle::build {

struct Mesh {
  std::string trust_domain = "mesh.local";
  std::string cluster_domain = "cluster.local";
  std::string trust_bundle_pem;  // what everybody trusts; empty: no Secret is pushed
  std::optional<Collector> collector;  // nothing: no spans
};

// A port of the node's application and where its sidecar takes mutual TLS for it.
struct NodePort {
  std::string name;
  uint16_t port = 0;
  Address inbound;
  model::AppProtocol app_protocol = model::AppProtocol::unspecified;
  friend bool operator==(const NodePort&, const NodePort&) = default;
};

// The packet filter sends the instance's traffic to its sidecar.
struct Capture {
  uint16_t outbound = 0;     // ports of the sidecar
  uint16_t inbound = 0;
  bool ipv6 = true;          // besides IPv4
  bool transparent = false;  // inbound by TPROXY
  bool permissive = false;   // what comes without the mesh's TLS is let through
  friend bool operator==(const Capture&, const Capture&) = default;
};

struct Node {
  std::string id;
  std::string namespace_name;
  std::string service;  // the account it runs as
  Address outbound;     // unset: it has no listener for its application's calls
  std::vector<NodePort> ports;
  std::optional<Capture> capture;  // then `ports` have no listeners of their own
  friend bool operator==(const Node&, const Node&) = default;
};

}  // namespace tulle::build
