#include "cli/up/plan.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/assert.hpp"

namespace tulle::cli {
namespace {

using nlohmann::ordered_json;

// What still runs when a sidecar is told to end may take so long; `down` is not to feel slow.
constexpr int kDrainSeconds = 5;

std::string loopback(uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

void set(TextPairs& environment, std::string_view name, std::string value) {
  const auto same = [&](const auto& entry) { return entry.first == name; };
  const auto found = std::ranges::find_if(environment, same);
  if (found != environment.end()) {
    found->second = std::move(value);
  } else {
    environment.emplace_back(name, std::move(value));
  }
}

ControlPlanePlan plan_control_plane(const MeshFile& file, const RunDirectory& run,
                                    const Programs& programs, const TextPairs& inherited,
                                    const uint16_t* ports) {
  ControlPlanePlan plan;
  plan.xds_port = ports[0];
  plan.api_port = ports[1];
  plan.metrics_port = ports[2];
  plan.config_path = run.control_plane() + "/config.json";
  const std::string state = run.control_plane() + "/state";
  ordered_json config{
      {"data_dir", state},
      {"trust_domain", file.trust_domain},
      {"cluster_domain", "cluster.local"},
      {"xds", {{"address", loopback(plan.xds_port)}}},
      {"api", {{"address", loopback(plan.api_port)}, {"token_file", run.token()}}},
      {"metrics", {{"address", loopback(plan.metrics_port)}}},
      {"ca", {{"certificate_lifetime_seconds", file.certificate_lifetime}}},
  };
  if (file.tracing) {
    config["tracing"] = {{file.tracing->format, file.tracing->url},
                         {"sampling_percent", file.tracing->sampling_percent}};
  }
  plan.config = config.dump(2) + "\n";
  plan.child.command = {programs.control_plane, "--config", plan.config_path};
  plan.child.environment = inherited;
  return plan;
}

// Each opaque Service that the group calls, in the order of the file.
std::vector<UpstreamPlan> upstreams_of(const MeshFile& file, const ServiceGroup& group) {
  std::vector<UpstreamPlan> upstreams;
  for (const std::string& service : group.calls.value_or(file.services())) {
    const ServiceGroup& first = file.first_group_of(service);
    if (!first.is_opaque() || service == group.service) continue;
    upstreams.push_back({service, service + ":" + std::to_string(first.port), 0});
  }
  return upstreams;
}

ordered_json upstream_listener(const UpstreamPlan& upstream) {
  const std::string type = "type.googleapis.com/envoy.";
  const ordered_json proxy = {
      {"name", "envoy.filters.network.tcp_proxy"},
      {"typed_config",
       {{"@type", type + "extensions.filters.network.tcp_proxy.v3.TcpProxy"},
        {"stat_prefix", upstream.destination},
        {"cluster", upstream.destination},
        {"on_demand", ordered_json::object()}}}};
  return {{"@type", type + "config.listener.v3.Listener"},
          {"name", "upstream|" + upstream.destination},
          {"traffic_direction", "OUTBOUND"},
          {"address",
           {{"socket_address", {{"address", "127.0.0.1"}, {"port_value", upstream.port}}}}},
          {"filter_chains", ordered_json::array({{{"filters", ordered_json::array({proxy})}}})}};
}

std::string bootstrap_of(const MeshFile& file, const RunDirectory& run, const ServiceGroup& group,
                         const InstancePlan& instance, uint16_t xds_port) {
  ordered_json labels = ordered_json::object();
  for (const auto& [name, value] : group.labels) labels[name] = value;
  ordered_json document{
      {"node", {{"id", instance.name}, {"cluster", instance.service}}},
      {"control_plane", {{"address", loopback(xds_port)}, {"trust_bundle", run.trust_bundle()}}},
      {"identity",
       {{"trust_domain", file.trust_domain},
        {"directory", instance.directory + "/identity"},
        {"join_token_file", instance.token_path}}},
      {"state_dir", instance.directory + "/state"},
      {"workload",
       {{"namespace", "default"},
        {"service", instance.service},
        {"labels", labels},
        {"address", "127.0.0.1"},
        {"outbound", loopback(instance.outbound_port)},
        {"ports", ordered_json::array({{{"name", group.protocol},
                                        {"port", instance.port},
                                        {"app_protocol", group.protocol},
                                        {"inbound", loopback(instance.inbound_port)}}})}}},
      {"admin", {{"address", "127.0.0.1"}, {"port", instance.admin_port}}},
      {"workers", 1},
      {"drain", {{"grace_seconds", kDrainSeconds}}},
      {"access_log", {{"filter", file.access_log}}},
  };
  for (const UpstreamPlan& upstream : instance.upstreams) {
    document["static_resources"].push_back(upstream_listener(upstream));
  }
  return document.dump(2) + "\n";
}

TextPairs environment_of(const MeshFile& file, const ServiceGroup& group,
                         const InstancePlan& instance, const TextPairs& inherited) {
  TextPairs environment = inherited;
  set(environment, "PYTHONUNBUFFERED", "1");  // lines when they are written, not 8 KiB later
  for (const std::string& service : group.calls.value_or(file.services())) {
    const uint16_t port = file.first_group_of(service).port;
    if (file.first_group_of(service).is_opaque()) continue;
    set(environment, url_variable(service), "http://" + service + ":" + std::to_string(port));
  }
  for (const UpstreamPlan& upstream : instance.upstreams) {
    set(environment, url_variable(upstream.service), "tcp://" + loopback(upstream.port));
  }
  for (const auto& [name, value] : group.environment) set(environment, name, value);
  const std::string proxy = "http://" + loopback(instance.outbound_port);
  set(environment, "PORT", std::to_string(instance.port));
  for (const char* name : {"http_proxy", "HTTP_PROXY"}) set(environment, name, proxy);
  for (const char* name : {"no_proxy", "NO_PROXY"}) set(environment, name, "localhost,127.0.0.1,::1");
  set(environment, "TULLE_INSTANCE", instance.name);
  return environment;
}

InstancePlan plan_instance(const MeshFile& file, const std::string& base, const RunDirectory& run,
                           const Programs& programs, const ServiceGroup& group, unsigned number,
                           const TextPairs& inherited, const uint16_t* ports, uint16_t xds_port) {
  InstancePlan plan;
  plan.name = group.name + "-" + std::to_string(number);
  plan.group = group.name;
  plan.service = group.service;
  plan.directory = run.instance(plan.name);
  plan.port = ports[0];
  plan.inbound_port = ports[1];
  plan.outbound_port = ports[2];
  plan.admin_port = ports[3];
  plan.upstreams = upstreams_of(file, group);
  for (size_t i = 0; i < plan.upstreams.size(); ++i) {
    plan.upstreams[i].port = ports[kPortsPerInstance + i];
  }
  plan.bootstrap_path = plan.directory + "/sidecar.json";
  plan.token_path = plan.directory + "/token";
  plan.bootstrap = bootstrap_of(file, run, group, plan, xds_port);
  plan.sidecar.command = {programs.sidecar, "--config", plan.bootstrap_path};
  plan.sidecar.environment = inherited;
  plan.child.command = group.command;
  plan.child.environment = environment_of(file, group, plan, inherited);
  plan.child.directory =
      (std::filesystem::path(base) / group.directory).lexically_normal().string();
  plan.health = group.health;
  plan.restart = group.restart;
  return plan;
}

std::string service_json(const ServiceGroup& group) {
  return ordered_json{
      {"apiVersion", "v1"},
      {"kind", "Service"},
      {"metadata", {{"name", group.service}, {"namespace", "default"}}},
      {"spec",
       {{"ports", ordered_json::array({{{"name", group.protocol},
                                        {"port", group.port},
                                        {"appProtocol", group.protocol}}})}}},
  }.dump();
}

}  // namespace

size_t ports_needed(const MeshFile& file) {
  size_t ports = kControlPlanePorts;
  for (const ServiceGroup& group : file.groups) {
    ports += group.replicas * (kPortsPerInstance + upstreams_of(file, group).size());
  }
  return ports;
}

Plan make_plan(const MeshFile& file, const std::string& base, const RunDirectory& run,
               const Programs& programs, const TextPairs& inherited,
               const std::vector<uint16_t>& ports) {
  ASSERT(ports.size() == ports_needed(file));
  Plan plan;
  plan.name = file.name;
  plan.trust_domain = file.trust_domain;
  plan.control_plane = plan_control_plane(file, run, programs, inherited, ports.data());
  for (const std::string& service : file.services()) {
    const ServiceGroup& group = file.first_group_of(service);
    plan.services.push_back({service, service + ":" + std::to_string(group.port), service_json(group)});
  }
  size_t next = kControlPlanePorts;
  for (const ServiceGroup& group : file.groups) {
    for (unsigned number = 1; number <= group.replicas; ++number) {
      plan.instances.push_back(plan_instance(file, base, run, programs, group, number, inherited,
                                             &ports[next], plan.control_plane.xds_port));
      next += kPortsPerInstance + plan.instances.back().upstreams.size();
    }
  }
  return plan;
}

}  // namespace tulle::cli
