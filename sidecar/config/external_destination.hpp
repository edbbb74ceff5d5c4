// add_external_destination(): a destination outside of the mesh, as the resources that a control plane
// would push for it: plaintext HTTP/1.1 to addresses, nothing rewritten.
#pragma once

#include <string>
#include <vector>

#include "core/net/address.hpp"
#include "xds/resource_set.hpp"

namespace tulle::config {

// `name` is "<host>:<port>". Without addresses its requests end as no_endpoint.
void add_external_destination(xds::ResourceSet& resources, const std::string& name,
                              const std::vector<Address>& addresses);

// What the cluster of an external destination is called.
std::string external_cluster_name(const std::string& name);

}  // namespace tulle::config
