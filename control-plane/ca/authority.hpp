// Authority: the mesh's certificate authority. Signs, rotates, and says whom to trust.
//
// Owns `directory`: slots.json (which authorities there are; replaced atomically), <id>.pem and
// <id>.key (0600) of each, and root.pem, the trust bundle for whoever joins. Whom a certificate
// names is decided by its callers; how long it lives is decided here. Loop thread only; watchers
// are woken when the bundle has changed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "control-plane/ca/slots.hpp"
#include "core/base/result.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"

namespace tulle::ca {

struct AuthorityOptions {
  std::string directory;
  std::string trust_domain;
  int64_t certificate_lifetime_seconds = 86400;
  // A given CA instead of a self-signed root: PEM, own certificate first, up to the root. Both or
  // neither.
  std::string certificate_file;
  std::string key_file;
  int64_t propagation_seconds = 30;
};

struct Certified {
  std::string chain_pem;   // leaf first
  std::string bundle_pem;  // whom its owner trusts
  int64_t not_after = 0;   // Unix seconds
};

class Authority final : private Task {
 public:
  // Makes the root when there is none. A damaged directory is refused, never replaced: what it
  // certified would be cut off.
  static Result<std::unique_ptr<Authority>> open(Loop& loop, AuthorityOptions options);
  ~Authority() override;

  const std::string& trust_domain() const { return options_.trust_domain; }
  // spiffe://<trust domain>/ns/<namespace>/sa/<account>
  std::string identity_of(std::string_view namespace_name, std::string_view account) const;

  // Whom to trust: what sidecars get as secret ROOTCA. Watchers leave by unwatch().
  const std::string& bundle_pem() const { return bundle_pem_; }
  uint64_t bundle_revision() const { return bundle_revision_; }  // from 1
  void watch(Task& watcher) { watchers_.push_back(&watcher); }
  void unwatch(Task& watcher);

  // For whom the caller has established `uri` to be.
  Result<Certified> certify(const std::string& public_key_der, const std::string& uri,
                            const std::vector<std::string>& dns = {},
                            const std::vector<std::string>& ips = {}) const;

  // Rotation by hand. All of it also happens by itself when the time has come.
  const Slots& slots() const { return slots_; }
  Result<void> prepare();
  Result<void> activate();
  Result<void> retire(bool force);

 private:
  Authority(Loop& loop, AuthorityOptions options, Slots slots);
  void run() override;
  Result<void> adopt(Slots slots);

  const AuthorityOptions options_;
  Slots slots_;
  std::string bundle_pem_;
  uint64_t bundle_revision_ = 1;
  std::vector<Task*> watchers_;
  Timer timer_{*this};
};

}  // namespace tulle::ca
