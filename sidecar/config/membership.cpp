#include "sidecar/config/membership.hpp"

namespace tulle::config {

std::string Membership::spiffe_id() const {
  return "spiffe://" + issued_identity->trust_domain + "/ns/" + workload->name_space + "/sa/" +
         workload->service;
}

bool same_membership(const Membership& a, const Membership& b) {
  return a.control_plane == b.control_plane && a.issued_identity == b.issued_identity &&
         a.workload == b.workload && a.state_dir == b.state_dir;
}

}  // namespace tulle::config
