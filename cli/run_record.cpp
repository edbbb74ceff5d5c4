#include "cli/run_record.hpp"

#include <nlohmann/json.hpp>

namespace tulle::cli {

using nlohmann::ordered_json;

std::string address_text(const InstanceRecord& instance) {
  const bool ipv6 = instance.address.find(':') != std::string::npos;
  return (ipv6 ? "[" + instance.address + "]" : instance.address) + ":" + std::to_string(instance.port);
}

std::string to_json(const RunRecord& record) {
  ordered_json instances = ordered_json::array();
  for (const InstanceRecord& instance : record.instances) {
    instances.push_back({{"name", instance.name},
                         {"group", instance.group},
                         {"service", instance.service},
                         {"state", instance.state},
                         {"detail", instance.detail},
                         {"pid", instance.pid},
                         {"sidecarPid", instance.sidecar_pid},
                         {"address", instance.address},
                         {"networkNamespace", instance.network_namespace},
                         {"user", instance.user},
                         {"port", instance.port},
                         {"inboundPort", instance.inbound_port},
                         {"outboundPort", instance.outbound_port},
                         {"adminPort", instance.admin_port},
                         {"restarts", instance.restarts},
                         {"health", instance.health}});
  }
  return ordered_json{{"name", record.name},
                      {"file", record.file},
                      {"phase", record.phase},
                      {"trustDomain", record.trust_domain},
                      {"started", record.started},
                      {"controlPlane",
                       {{"pid", record.control_plane_pid},
                        {"state", record.control_plane_state},
                        {"api", record.api},
                        {"xds", record.xds},
                        {"networkNamespace", record.network_namespace}}},
                      {"instances", std::move(instances)}}
             .dump(2) +
         "\n";
}

Result<RunRecord> read_record(const RunDirectory& run) {
  Result<std::string> text = read_whole_file(run.record());
  if (!text) return text.error();
  try {
    const ordered_json json = ordered_json::parse(*text);
    const ordered_json& plane = json.at("controlPlane");
    RunRecord record{json.at("name"),  json.at("file"),  json.at("phase"), json.at("trustDomain"),
                     json.at("started"), plane.at("pid"), plane.at("state"), plane.at("api"),
                     plane.at("xds"),  plane.at("networkNamespace"), {}};
    for (const ordered_json& one : json.at("instances")) {
      record.instances.push_back({one.at("name"), one.at("group"), one.at("service"),
                                  one.at("state"), one.at("detail"), one.at("pid"),
                                  one.at("sidecarPid"), one.at("address"),
                                  one.at("networkNamespace"), one.at("user"), one.at("port"),
                                  one.at("inboundPort"),
                                  one.at("outboundPort"), one.at("adminPort"),
                                  one.at("restarts"), one.at("health")});
    }
    return record;
  } catch (const nlohmann::json::exception& error) {
    return Error{Code::invalid_config, Origin::local, run.record() + ": " + error.what()};
  }
}

}  // namespace tulle::cli
