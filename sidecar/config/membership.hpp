// Membership: what a bootstrap says about belonging to a mesh that a control plane configures.
//
// Owns the fields control_plane, identity (in its issued form), workload, state_dir and egress. Pure
// values; read strictly by read_membership.hpp.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/net/address.hpp"

namespace tulle::config {

struct ControlPlane {
  friend bool operator==(const ControlPlane&, const ControlPlane&) = default;
  Address address;
  std::string trust_bundle;  // PEM file that its certificate leads to, until we have our own bundle
};

// A certificate that the control plane issues: the key is made here and kept in `directory`.
struct IssuedIdentity {
  friend bool operator==(const IssuedIdentity&, const IssuedIdentity&) = default;
  std::string trust_domain;
  std::string directory;
  std::string join_token_file;  // empty: only what `directory` holds can be used and renewed
};

struct WorkloadPort {
  friend bool operator==(const WorkloadPort&, const WorkloadPort&) = default;
  std::string name;
  uint16_t port = 0;         // of the application
  std::string app_protocol;  // "http", "h2c", "grpc", "tcp", ...; empty: found out per connection
  Address inbound;           // where the sidecar takes mutual TLS for it; port 0: any
};

// The packet filter sends the instance's traffic here (`tulle intercept`).
struct Capture {
  friend bool operator==(const Capture&, const Capture&) = default;
  uint16_t outbound = 15001;
  uint16_t inbound = 15006;
  bool ipv6 = true;          // besides IPv4
  bool transparent = false;  // inbound by TPROXY
  bool permissive = false;   // what comes without the mesh's TLS is let through
};

// The instance this sidecar stands beside: how it registers itself.
struct Workload {
  friend bool operator==(const Workload&, const Workload&) = default;
  std::string name_space = "default";
  std::string service;
  std::map<std::string, std::string> labels;
  std::string address;  // IP, where others reach it
  Address outbound;     // where the application sends what it calls; port 0: any
  std::vector<WorkloadPort> ports;
  std::optional<Capture> capture;  // then a port's `inbound` is the application's own address
};

// What becomes of a destination that the control plane has answered to be unknown.
enum class Egress : uint8_t { allow, deny };

struct Membership {
  std::optional<ControlPlane> control_plane;
  std::optional<IssuedIdentity> issued_identity;
  std::optional<Workload> workload;
  std::string state_dir;  // empty: nothing is kept across restarts
  Egress egress = Egress::allow;

  // spiffe://<trust domain>/ns/<namespace>/sa/<service>; both parts must be there.
  std::string spiffe_id() const;
};

// What only the next start can take into account: everything but egress.
bool same_membership(const Membership& a, const Membership& b);

}  // namespace tulle::config
