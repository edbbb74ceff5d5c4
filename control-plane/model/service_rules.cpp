#include "control-plane/model/service_rules.hpp"

#include <algorithm>

namespace tulle::model {

StringMap selector_of(const Document& service) {
  const ServiceSpec& spec = service.service();
  if (spec.selector) return *spec.selector;
  return {{std::string(kServiceLabel), service.metadata.name}};
}

std::string account_of(const Document& service) {
  const ServiceSpec& spec = service.service();
  if (spec.selector) {
    const auto account = spec.selector->find(std::string(kServiceLabel));
    if (account != spec.selector->end()) return account->second;
  }
  return service.metadata.name;
}

bool selects(const Document& service, const Document& workload) {
  if (service.metadata.namespace_name != workload.metadata.namespace_name) return false;
  const WorkloadSpec& spec = workload.workload();
  if (account_of(service) != spec.service) return false;
  if (!service.service().selector) return true;
  return std::ranges::all_of(*service.service().selector, [&](const auto& wanted) {
    if (wanted.first == kServiceLabel) return true;  // compared above
    const auto label = spec.labels.find(wanted.first);
    return label != spec.labels.end() && label->second == wanted.second;
  });
}

const WorkloadPort* target_port(const ServicePort& port, const WorkloadSpec& workload) {
  const auto& ports = workload.ports;
  const auto named = std::ranges::find_if(
      ports, [&](const WorkloadPort& p) { return !port.name.empty() && p.name == port.name; });
  if (named != ports.end()) return &*named;
  const auto numbered = std::ranges::find(ports, port.port, &WorkloadPort::port);
  if (numbered != ports.end()) return &*numbered;
  return ports.size() == 1 ? &ports.front() : nullptr;
}

AppProtocol protocol_of(const ServicePort& port, const WorkloadPort* target) {
  if (port.app_protocol != AppProtocol::unspecified || target == nullptr) return port.app_protocol;
  return target->app_protocol;
}

const ServicePort* find_port(const ServiceSpec& service, uint16_t port) {
  const auto found = std::ranges::find(service.ports, port, &ServicePort::port);
  return found == service.ports.end() ? nullptr : &*found;
}

std::string spiffe_id(std::string_view trust_domain, std::string_view namespace_name,
                      std::string_view account) {
  std::string id("spiffe://");
  return id.append(trust_domain).append("/ns/").append(namespace_name).append("/sa/").append(account);
}

std::optional<ServiceName> service_of_host(std::string_view host, std::string_view caller_namespace,
                                           std::string_view cluster_domain) {
  const size_t first = host.find('.');
  const std::string_view name = host.substr(0, first);
  if (name.empty()) return std::nullopt;
  if (first == std::string_view::npos) {
    return ServiceName{std::string(caller_namespace), std::string(name)};
  }
  std::string_view rest = host.substr(first + 1);
  const size_t second = rest.find('.');
  const std::string_view namespace_name = rest.substr(0, second);
  rest = second == std::string_view::npos ? std::string_view() : rest.substr(second + 1);
  const bool suffix_fits =
      second == std::string_view::npos || rest == "svc" ||
      (rest.starts_with("svc.") && rest.substr(4) == cluster_domain);
  if (namespace_name.empty() || !suffix_fits) return std::nullopt;
  return ServiceName{std::string(namespace_name), std::string(name)};
}

}  // namespace tulle::model
