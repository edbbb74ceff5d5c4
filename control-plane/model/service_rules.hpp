// service_rules: which workloads a Service has, who they are, and what it is called. Pure.
//
// A Service always stands for exactly one account, because that is the identity its callers verify:
// the label tulle.dev/service, which nobody can claim, is part of every selector.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/model/document.hpp"

namespace tulle::model {

inline constexpr std::string_view kServiceLabel = "tulle.dev/service";

// Without a selector of its own: {tulle.dev/service: <its name>}.
StringMap selector_of(const Document& service);
// The account of its workloads.
std::string account_of(const Document& service);
// Same namespace, and every label of the selector.
bool selects(const Document& service, const Document& workload);

// The workload's port behind a port of the Service: the one of that name, else of that number, else
// the only one. Null: none.
const WorkloadPort* target_port(const ServicePort& port, const WorkloadSpec& workload);
// What is spoken on a port: the Service's word first, else the workload's.
AppProtocol protocol_of(const ServicePort& port, const WorkloadPort* target);

const ServicePort* find_port(const ServiceSpec& service, uint16_t port);

// spiffe://<trust domain>/ns/<namespace>/sa/<account>
std::string spiffe_id(std::string_view trust_domain, std::string_view namespace_name,
                      std::string_view account);

// The Service that a host (lower case, without port) means to a caller of that namespace: `<svc>`,
// `<svc>.<ns>`, `<svc>.<ns>.svc`, `<svc>.<ns>.svc.<cluster domain>`.
struct ServiceName {
  std::string namespace_name;
  std::string name;
  friend bool operator==(const ServiceName&, const ServiceName&) = default;
};
std::optional<ServiceName> service_of_host(std::string_view host, std::string_view caller_namespace,
                                           std::string_view cluster_domain);

}  // namespace tulle::model
