// MeshFile: what `tulle up` starts, read strictly from a YAML file.
//
// Reading is pure text to struct: no disk, no clock. A file is returned only when there is no
// problem at all; every problem is reported with its line and path. docs/operations.md describes
// the format.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/file/yaml_tree.hpp"
#include "core/base/result.hpp"

namespace tulle::cli {

using TextPairs = std::vector<std::pair<std::string, std::string>>;

// A group of equal instances: one entry below `services`.
struct ServiceGroup {
  enum class Restart : uint8_t { always, never };

  std::string name;                  // the key
  std::vector<std::string> command;  // program and arguments; text was wrapped in /bin/sh -c
  std::string service;               // the Service, and so the identity, it belongs to
  uint16_t port = 0;                 // what callers of the Service use
  std::string protocol;              // "http", "h2c", "grpc", or opaque: "tcp", "redis", ...
  unsigned replicas = 1;
  TextPairs labels;
  TextPairs environment;
  std::string health;                // a path that answers 2xx or 3xx; empty: the port is open
  std::string directory;             // to run in, relative to the file
  std::string user;                  // to run as, in a namespace of its own; empty: not said
  Restart restart = Restart::always;
  std::optional<std::vector<std::string>> calls;  // Services it gets a URL variable for; all

  bool is_opaque() const;
};

// Where the sidecars send what they know of requests.
struct TracingPlan {
  std::string format;                // "otlp" or "zipkin": the member of the control plane's file
  std::string url;
  double sampling_percent = 1;
};

// Every request, to the collector of that URL.
Result<TracingPlan> trace_everything(const std::string& format, const std::string& url);

struct MeshFile {
  std::string name;
  std::string trust_domain;
  std::string access_log;             // of the sidecars: "failures", "all", "off"
  unsigned certificate_lifetime = 86400;  // seconds, of every certificate the mesh issues
  std::optional<TracingPlan> tracing;
  std::vector<ServiceGroup> groups;   // in the order of the file
  std::vector<std::string> policies;  // files and folders of documents, relative to the file

  // The Services, in the order in which they are first named.
  std::vector<std::string> services() const;
  const ServiceGroup& first_group_of(std::string_view service) const;
};

// Sidecar, instance and log take a few MiB each; more than this is not meant for one machine.
inline constexpr unsigned kMostInstances = 200;

std::optional<MeshFile> read_mesh_file(std::string_view yaml, FileProblems& problems);

// "payment-gateway" -> "PAYMENT_GATEWAY_URL"
std::string url_variable(std::string_view service);

}  // namespace tulle::cli
