// Names that both programs give a meaning to. Everything else about a name is opaque to a sidecar.
#pragma once

#include <string_view>

namespace tulle::xds {

// A target that cannot be: a route sends a share of its requests here when the document names a
// backend that does not exist. No such Cluster is ever pushed or asked for; the sidecar answers
// invalid_backend (500) by itself. Peers of other makes find no cluster of this name and answer by
// the route's cluster_not_found_response_code, which is 500 as well.
inline constexpr std::string_view kInvalidBackendCluster = "tulle.invalid_backend";

// Secrets: the workload's own certificate, which never leaves it, and the bundle it trusts.
inline constexpr std::string_view kOwnCertificateSecret = "default";
inline constexpr std::string_view kTrustBundleSecret = "ROOTCA";

}  // namespace tulle::xds
