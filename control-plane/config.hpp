// Config: the JSON file the control plane starts from, read strictly.
//
// Unknown fields, wrong types and values out of range are all reported, each with its path. Relative
// paths are relative to the working directory of the process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "control-plane/build/collector.hpp"
#include "core/net/address.hpp"
#include "sidecar/config/problem.hpp"

namespace tulle {

struct ControlPlaneConfig {
  std::string data_dir;
  std::string trust_domain = "mesh.local";
  std::string cluster_domain = "cluster.local";
  Address xds;                    // 127.0.0.1:15012 by default
  Address api;                    // 127.0.0.1:15080
  bool api_plaintext = false;     // only on a loopback address
  std::string token_file;         // <data_dir>/admin.token
  Address metrics;                // 127.0.0.1:15014
  int64_t certificate_lifetime_seconds = 86400;
  std::string ca_certificate_file;  // both or neither
  std::string ca_key_file;
  std::optional<build::Collector> tracing;  // nothing: sidecars make no spans
};

struct ControlPlaneConfigRead {
  std::optional<ControlPlaneConfig> config;  // set exactly when problems is empty
  config::Problems problems;
};

ControlPlaneConfigRead read_control_plane_config(std::string_view json);
ControlPlaneConfigRead read_control_plane_config_file(const std::string& path);

}  // namespace tulle
