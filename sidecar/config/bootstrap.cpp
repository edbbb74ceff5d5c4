#include "sidecar/config/bootstrap.hpp"

#include <nlohmann/json.hpp>

#include "sidecar/config/read_file.hpp"
#include "sidecar/config/read_membership.hpp"
#include "sidecar/config/resource_json.hpp"
#include "sidecar/config/strict_json.hpp"

namespace tulle::config {

namespace {

using nlohmann::json;

constexpr uint16_t kAdminPort = 15000;
constexpr uint64_t kMostWorkers = 256;
constexpr uint64_t kLongestGrace = 3600;
constexpr uint64_t kLeastMemory = 8;              // MiB: below that nothing could be served
constexpr uint64_t kMostMemory = 1024 * 1024;
constexpr uint64_t kMostConnections = 10'000'000;

Node read_node(const json& value, const Place& place) {
  Node node;
  JsonObject object(value, place);
  node.id = object.text("id");
  node.cluster = object.text("cluster");
  if (const json* locality = object.find("locality")) {
    JsonObject fields(*locality, object.place("locality"));
    node.region = fields.text("region");
    node.zone = fields.text("zone");
    node.sub_zone = fields.text("sub_zone");
    fields.finish();
  }
  if (const json* metadata = object.find("metadata")) {
    if (metadata->is_object()) {
      node.metadata_json = metadata->dump();
    } else {
      object.place("metadata").invalid(std::string("expected an object, found ") +
                                       kind_of(*metadata));
    }
  }
  object.finish();
  return node;
}

IdentityFiles read_identity(const json& value, const Place& place) {
  JsonObject object(value, place);
  IdentityFiles files;
  files.certificate = object.required_text("certificate");
  files.key = object.required_text("key");
  files.trust_bundle = object.required_text("trust_bundle");
  files.trust_domain = object.required_text("trust_domain");
  object.finish();
  return files;
}

// Loopback only: whoever reaches the admin port sees configuration and can drain the sidecar.
Address read_admin(const json& value, const Place& place) {
  JsonObject object(value, place);
  const std::string ip = object.text("address", "127.0.0.1");
  const auto port = static_cast<uint16_t>(object.number("port", kAdminPort, 0, UINT16_MAX));
  object.finish();
  const Result<Address> address = Address::parse(ip, port);
  if (!address) {
    object.place("address").invalid("\"" + ip + "\" is not an IP address");
    return {};
  }
  if (!address->is_loopback()) object.place("address").invalid("must be a loopback address");
  return *address;
}

AccessLog read_access_log(const json& value, const Place& place) {
  JsonObject object(value, place);
  AccessLog log;
  log.path = object.text("path");
  const std::string filter = object.text("filter", "failures");
  if (filter == "failures") {
    log.filter = AccessLogFilter::failures;
  } else if (filter == "all") {
    log.filter = AccessLogFilter::all;
  } else if (filter == "off") {
    log.filter = AccessLogFilter::off;
  } else {
    object.place("filter").invalid("must be \"failures\", \"all\" or \"off\"");
  }
  object.finish();
  return log;
}

xds::ResourceSet read_resources(const json& value, const Place& place, Problems& problems) {
  xds::ResourceSet resources;
  if (!value.is_array()) {
    place.invalid(std::string("expected a list, found ") + kind_of(value));
    return resources;
  }
  for (size_t i = 0; i < value.size(); ++i) {
    const std::string origin = "static_resources[" + std::to_string(i) + "]";
    std::optional<xds::Resource> read = resource_from_json(value[i].dump(), origin, problems);
    if (!read) continue;
    if (const xds::Resource* other = resources.find(read->type, read->name)) {
      Place(problems, title_of(*read)).invalid("has the same type and name as " + other->origin);
      continue;
    }
    resources.put(std::move(*read));
  }
  return resources;
}

void read_all(const json& value, Bootstrap& bootstrap, Problems& problems) {
  const Place place(problems, "");
  JsonObject object(value, place);
  if (const json* node = object.find("node")) {
    bootstrap.node = read_node(*node, place.field("node"));
  }
  const json* identity = object.find("identity");
  if (identity != nullptr && !is_issued_identity(*identity)) {
    bootstrap.identity = read_identity(*identity, place.field("identity"));
  }
  bootstrap.membership = read_membership(object);
  if (bootstrap.membership.control_plane && bootstrap.node.id.empty()) {
    place.field("node").field("id").invalid("is missing: the control plane knows us by it");
  }
  const json* admin = object.find("admin");
  bootstrap.admin = read_admin(admin != nullptr ? *admin : json::object(), place.field("admin"));
  const uint64_t workers = object.number("workers", 0, 1, kMostWorkers);
  if (workers > 0) bootstrap.workers = static_cast<unsigned>(workers);
  if (const json* memory = object.find("memory")) {
    JsonObject fields(*memory, place.field("memory"));
    const uint64_t limit = fields.number("limit_mib", 0, kLeastMemory, kMostMemory);
    if (limit > 0) bootstrap.memory_limit = limit << 20;
    fields.finish();
  }
  if (const json* connections = object.find("connections")) {
    JsonObject fields(*connections, place.field("connections"));
    bootstrap.connections = fields.number("per_listener", bootstrap.connections, 1, kMostConnections);
    fields.finish();
  }
  if (const json* drain = object.find("drain")) {
    JsonObject fields(*drain, place.field("drain"));
    bootstrap.drain_grace =
        std::chrono::seconds(fields.number("grace_seconds", 20, 0, kLongestGrace));
    fields.finish();
  }
  if (const json* log = object.find("access_log")) {
    bootstrap.access_log = read_access_log(*log, place.field("access_log"));
  }
  if (const json* list = object.find("static_resources")) {
    bootstrap.resources = read_resources(*list, place.field("static_resources"), problems);
  }
  object.finish();
}

}  // namespace

BootstrapRead read_bootstrap(std::string_view text) {
  BootstrapRead read;
  json value;
  if (!parse_strict_json(text, value, Place(read.problems, ""))) return read;
  Bootstrap bootstrap;
  read_all(value, bootstrap, read.problems);
  if (read.problems.empty()) read.bootstrap = std::move(bootstrap);
  return read;
}

BootstrapRead read_bootstrap_file(const std::string& path) {
  const Result<std::string> contents = read_file(path);
  if (contents) return read_bootstrap(*contents);
  BootstrapRead read;
  Place(read.problems, "").unreadable("cannot read " + contents.error().detail);
  return read;
}

}  // namespace tulle::config
