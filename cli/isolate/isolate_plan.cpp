#include "cli/isolate/isolate_plan.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/isolate/entrance.hpp"
#include "core/base/assert.hpp"
#include "core/net/address.hpp"

namespace tulle::cli {
namespace {

using nlohmann::ordered_json;

// The ports of documentation and of other meshes: nobody else is in the namespace to want them.
constexpr uint16_t kXdsPort = 15012;
constexpr uint16_t kApiPort = 15080;
constexpr uint16_t kMetricsPort = 15014;
constexpr uint16_t kAdminPort = 15000;

std::string written(const std::string& ip, uint16_t port) {
  return Address::parse(ip, port).value().to_string();
}

void set(TextPairs& environment, std::string_view name, const std::string& value) {
  std::erase_if(environment, [&](const auto& entry) { return entry.first == name; });
  environment.emplace_back(name, value);
}

const ServiceGroup& group_of(const MeshFile& file, const InstancePlan& instance) {
  const auto same = [&](const ServiceGroup& group) { return group.name == instance.group; };
  return *std::ranges::find_if(file.groups, same);
}

void isolate_control_plane(ControlPlanePlan& plan, const Isolation& isolation, const std::string& self) {
  plan.xds_port = kXdsPort;
  plan.api_port = kApiPort;
  plan.metrics_port = kMetricsPort;
  plan.network_namespace = isolation.hub;
  plan.address = isolation.gateway4;
  ordered_json config = ordered_json::parse(plan.config);
  config["xds"]["address"] = written(isolation.gateway4, kXdsPort);
  config["api"]["address"] = written("127.0.0.1", kApiPort);
  config["metrics"]["address"] = written("127.0.0.1", kMetricsPort);
  plan.config = config.dump(2) + "\n";
  Entrance entrance;
  entrance.network_namespace = isolation.hub;
  plan.child.command = command_to_enter(self, entrance, std::move(plan.child.command));
}

std::string sidecar_path(std::string_view name) { return std::string(kSidecarDirectory) + "/" + std::string(name); }

std::string isolated_bootstrap(const InstancePlan& plan, const Isolation& isolation, const Site& site) {
  ordered_json document = ordered_json::parse(plan.bootstrap);
  document.erase("static_resources");  // ports for opaque Services: their virtual addresses do it
  document["control_plane"] = {{"address", written(isolation.gateway4, kXdsPort)},
                               {"trust_bundle", sidecar_path("root.pem")}};
  document["identity"]["directory"] = sidecar_path("identity");
  document["identity"]["join_token_file"] = sidecar_path("token");
  document["state_dir"] = sidecar_path("state");
  document["admin"]["port"] = kAdminPort;
  ordered_json& workload = document["workload"];
  workload["address"] = isolation.address_of(site);
  workload.erase("outbound");
  workload["capture"] = {{"outbound", isolation.interception.outbound_port},
                         {"inbound", isolation.interception.inbound_port},
                         {"ipv6", isolation.ipv6},
                         {"mtls", "strict"}};
  for (ordered_json& port : workload["ports"]) {
    port["port"] = plan.port;
    port.erase("inbound");
  }
  return document.dump(2) + "\n";
}

void isolate_environment(InstancePlan& plan, const MeshFile& file, const ServiceGroup& group) {
  TextPairs& environment = plan.child.environment;
  for (const char* name : kProxyVariables) {
    std::erase_if(environment, [&](const auto& entry) { return entry.first == name; });
  }
  for (const std::string& service : group.calls.value_or(file.services())) {
    const ServiceGroup& first = file.first_group_of(service);
    const std::string variable = url_variable(service);
    const auto said = [&](const auto& entry) { return entry.first == variable; };
    if (!first.is_opaque() || std::ranges::any_of(group.environment, said)) continue;
    set(environment, variable, "tcp://" + service + ":" + std::to_string(first.port));
  }
  set(environment, "PORT", std::to_string(plan.port));
}

void isolate_instance(InstancePlan& plan, const MeshFile& file, const Isolation& isolation,
                      const Site& site, const RunDirectory& run, const std::string& self,
                      const std::string& user) {
  ASSERT(plan.name == site.instance);
  const ServiceGroup& group = group_of(file, plan);
  plan.network_namespace = site.network_namespace;
  plan.address = isolation.address_of(site);
  plan.port = group.port;
  plan.inbound_port = isolation.interception.inbound_port;
  plan.outbound_port = isolation.interception.outbound_port;
  plan.admin_port = kAdminPort;
  plan.upstreams.clear();
  plan.sidecar_user = kSidecarUser;
  plan.user = group.user.empty() ? user : group.user;
  plan.bootstrap = isolated_bootstrap(plan, isolation, site);
  isolate_environment(plan, file, group);

  plan.trust_bundle = run.trust_bundle();
  Entrance entrance{plan.network_namespace, run.hosts(), run.resolver(), plan.name, "", plan.user};
  plan.child.command = command_to_enter(self, entrance, std::move(plan.child.command));
  entrance.user = std::to_string(kSidecarUser);
  entrance.private_directory = plan.directory;
  plan.sidecar.command.back() = sidecar_path("sidecar.json");
  plan.sidecar.command = command_to_enter(self, entrance, std::move(plan.sidecar.command));
}

void isolate_service(ServiceDocument& document, const Isolation& isolation) {
  const auto same = [&](const VirtualAddress& one) { return one.service == document.name; };
  const VirtualAddress& address = *std::ranges::find_if(isolation.services, same);
  ordered_json json = ordered_json::parse(document.json);
  ordered_json addresses = ordered_json::array({address.address4});
  if (isolation.ipv6) addresses.push_back(address.address6);
  json["spec"]["clusterIP"] = address.address4;
  json["spec"]["clusterIPs"] = std::move(addresses);
  document.json = json.dump();
}

}  // namespace

void isolate(Plan& plan, const MeshFile& file, const Isolation& isolation, const RunDirectory& run,
             const std::string& self, const std::string& user) {
  ASSERT(plan.instances.size() == isolation.sites.size());
  isolate_control_plane(plan.control_plane, isolation, self);
  for (ServiceDocument& service : plan.services) isolate_service(service, isolation);
  for (size_t i = 0; i < plan.instances.size(); ++i) {
    isolate_instance(plan.instances[i], file, isolation, isolation.sites[i], run, self, user);
  }
}

}  // namespace tulle::cli
