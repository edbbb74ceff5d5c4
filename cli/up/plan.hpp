// Plan: everything that `up` is going to start, worked out from the mesh file. Pure: the same file,
// folders and ports give the same plan.
//
// Ports are fixed here and not left to the programs, because what restarts must come back where the
// others know it: a service has its sidecar's address in http_proxy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/file/mesh_file.hpp"
#include "cli/run_directory.hpp"
#include "core/net/child_process.hpp"

namespace tulle::cli {

struct Programs {
  std::string control_plane;  // paths of the executables
  std::string sidecar;
};

struct ControlPlanePlan {
  uint16_t xds_port = 0, api_port = 0, metrics_port = 0;
  std::string address = "127.0.0.1";  // of xDS; the API is on loopback
  std::string network_namespace;      // empty: that of the machine
  std::string config_path;
  std::string config;   // JSON
  ChildOptions child;
};

// A Service that does not speak HTTP: a caller's sidecar has a port for it, because no proxy
// variable could name it.
struct UpstreamPlan {
  std::string service;
  std::string destination;  // "cache:6379"
  uint16_t port = 0;        // loopback
};

struct InstancePlan {
  std::string name;     // "kitchen-1"
  std::string group;
  std::string service;
  std::string directory;          // of its own files, in the run directory
  std::string network_namespace;  // empty: that of the machine, shared with all
  std::string address = "127.0.0.1";  // where the service listens, plain
  uint16_t port = 0;
  uint16_t inbound_port = 0;      // its sidecar: mutual TLS from others
  uint16_t outbound_port = 0;     // its sidecar: what the service calls through
  uint16_t admin_port = 0;        // its sidecar: /ready, /metrics, /config
  std::vector<UpstreamPlan> upstreams;
  std::string bootstrap_path;
  std::string bootstrap;          // JSON
  std::string token_path;
  // In a namespace: who the sidecar and the service run as (empty: as we are), and the bundle that
  // the sidecar cannot read where it is.
  std::optional<uint32_t> sidecar_user;
  std::string user;
  std::string trust_bundle;
  ChildOptions sidecar;
  ChildOptions child;
  std::string health;             // path; empty: the port is open
  ServiceGroup::Restart restart = ServiceGroup::Restart::always;
};

// A document that the control plane is given before anything else: the Service.
struct ServiceDocument {
  std::string name;
  std::string authority;  // "kitchen:8080": what callers say
  std::string json;
};

struct Plan {
  std::string name;
  std::string trust_domain;
  ControlPlanePlan control_plane;
  std::vector<ServiceDocument> services;
  std::vector<InstancePlan> instances;
};

inline constexpr size_t kControlPlanePorts = 3;
inline constexpr size_t kPortsPerInstance = 4;  // and one per opaque Service that it calls
size_t ports_needed(const MeshFile& file);

// `base`: the folder of the file. `inherited`: our own environment. `ports`: as many as needed.
Plan make_plan(const MeshFile& file, const std::string& base, const RunDirectory& run,
               const Programs& programs, const TextPairs& inherited,
               const std::vector<uint16_t>& ports);

}  // namespace tulle::cli
