// ServerCertificates: what the control plane itself presents on its ports, renewed by itself.
//
// One certificate with the control plane's SPIFFE ID for sidecars, and localhost and the loopback
// addresses (plus given names) for people. Renewed at two thirds of its life, and as soon as a
// successor of the authority is prepared: still signed by the current one, so that a sidecar that
// missed the rotation can verify us for as long as its own certificate is valid. Contexts are
// rebuilt when the bundle changes. The owner is woken and passes them to its servers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "control-plane/ca/authority.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "core/net/tls.hpp"

namespace tulle::ca {

class ServerCertificates final : private Task {
 public:
  static Result<std::unique_ptr<ServerCertificates>> make(Loop& loop, Authority& authority,
                                                          std::vector<std::string> more_dns,
                                                          std::vector<std::string> more_ips,
                                                          Task& owner);
  ~ServerCertificates() override;

  // h2; asks for a client certificate of the trust domain and takes none as well: an instance that
  // joins has none. Whoever needs to know looks at Stream::peer().
  const std::shared_ptr<const TlsContext>& xds() const { return xds_; }
  const std::shared_ptr<const TlsContext>& api() const { return api_; }
  uint64_t revision() const { return revision_; }
  int64_t not_after() const { return own_.not_after; }

 private:
  ServerCertificates(Loop& loop, Authority& authority, std::vector<std::string> more_dns,
                     std::vector<std::string> more_ips, Task& owner);
  void run() override;
  Result<void> update();
  Result<void> issue();
  Result<void> build();

  Authority& authority_;
  Task& owner_;
  const std::vector<std::string> dns_;
  const std::vector<std::string> ips_;
  std::string key_pem_;
  Certified own_;
  int64_t renew_at_ = 0;
  std::string prepared_;          // id of the successor that our certificate knows of
  uint64_t bundle_revision_ = 0;  // that the contexts were built with
  std::shared_ptr<const TlsContext> xds_;
  std::shared_ptr<const TlsContext> api_;
  uint64_t revision_ = 0;
  Timer timer_{*this};
};

}  // namespace tulle::ca
