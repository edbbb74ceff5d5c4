// Bootstrap: the JSON file the sidecar starts from, read strictly.
//
// Reading is pure text to struct; only read_bootstrap_file() touches the disk. Unknown fields,
// wrong types and values out of range are all reported, each with its path; a bootstrap is
// returned only when there is no problem at all. Relative paths in the file are relative to the
// working directory of the process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/clock.hpp"
#include "core/net/address.hpp"
#include "sidecar/config/membership.hpp"
#include "sidecar/config/problem.hpp"
#include "xds/resource_set.hpp"

namespace tulle::config {

struct Node {
  std::string id;
  std::string cluster;
  std::string region, zone, sub_zone;
  std::string metadata_json = "{}";  // an object, compact; passed on to the control plane
};

// Paths, not contents: the files are read by read_materials() and again when they change.
struct IdentityFiles {
  std::string certificate;
  std::string key;
  std::string trust_bundle;
  std::string trust_domain;
};

enum class AccessLogFilter : uint8_t { failures, all, off };

struct AccessLog {
  std::string path;  // empty: standard output
  AccessLogFilter filter = AccessLogFilter::failures;
};

struct Bootstrap {
  Node node;
  // Absent, and none is issued either: no mutual TLS with the workload's own identity.
  std::optional<IdentityFiles> identity;
  Membership membership;
  Address admin;                          // 127.0.0.1:15000 by default
  std::optional<unsigned> workers;        // absent: from the CPU quota
  std::optional<uint64_t> memory_limit;   // bytes for traffic; absent: from cgroup and machine
  size_t connections = 10000;             // accepted by one listener, over all workers
  Duration drain_grace = 20s;             // how long a shutdown waits for running exchanges
  AccessLog access_log;
  xds::ResourceSet resources;             // static_resources
};

struct BootstrapRead {
  std::optional<Bootstrap> bootstrap;  // set exactly when problems is empty
  Problems problems;
};

// JSON syntax errors name line and column. Never throws.
BootstrapRead read_bootstrap(std::string_view json);
BootstrapRead read_bootstrap_file(const std::string& path);

}  // namespace tulle::config
