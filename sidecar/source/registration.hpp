// Registration: what the sidecar tells the control plane about itself and its workload.
//
// Ports that were given as 0 are claimed first: the control plane pushes listeners for the addresses
// it is told.
#pragma once

#include <map>
#include <string>

#include "core/base/result.hpp"
#include "sidecar/config/bootstrap.hpp"
#include "xds/messages.hpp"

namespace tulle::source {

// By what they are for: "outbound", "inbound|<application port>".
using WorkloadAddresses = std::map<std::string, Address>;

// Claims every address of the workload. Where port 0 was given, `former` (a previous run's) is tried
// first, so that an application that still runs finds its sidecar again.
Result<WorkloadAddresses> claim_addresses(const config::Workload& workload,
                                          const WorkloadAddresses& former);

xds::Node node_of(const config::Bootstrap& bootstrap, const WorkloadAddresses& addresses);

}  // namespace tulle::source
