// Credentials: the workload's key, certificate and trust bundle, obtained and kept valid by itself.
//
// Owns: the files in identity.directory, the connection to the control plane's identity endpoint
// and the times of renewal. The key is generated here and never leaves the process but into its own
// file (0600). What the control plane answers is believed only when it is a certificate for the
// identity we are to have, for the key we asked with, not expired, and issued below a bundle that
// also holds; otherwise what we had stays. Main loop only. The owner reads identity() when woken.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/base/rng.hpp"
#include "core/base/stats.hpp"
#include "core/net/address.hpp"
#include "core/net/network.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "core/net/tls.hpp"
#include "sidecar/config/materials.hpp"
#include "sidecar/identity/credential_store.hpp"

namespace tulle {

class GrpcCall;
class Pool;

namespace identity {

struct CredentialsOptions {
  std::string spiffe_id;        // who we are to be: spiffe://<trust domain>/ns/<namespace>/sa/<service>
  std::string trust_domain;
  std::string directory;        // made (0700) when absent
  std::string join_token_file;  // read at each attempt to join; empty: we can only renew
  Address control_plane;        // its xDS port
  std::string trust_file;       // PEM: verifies the control plane while we join
};

class Credentials final : private Task {
 public:
  // `owner` is woken whenever revision() has changed.
  Credentials(Loop& loop, Network& network, CredentialsOptions options, StatRegistry& stats,
              StatShard& shard, uint64_t seed, Task& owner);
  ~Credentials() override;

  // Null until there is a certificate. The same until revision() changes. Handed out even when it
  // has expired: the handshakes that fail then say why.
  const config::Identity* identity() const { return identity_ ? &*identity_ : nullptr; }
  uint64_t revision() const { return revision_; }  // 0: nothing yet
  int64_t not_after() const { return facts_.not_after; }

  // For connections to the control plane with our certificate; it must be the control plane of our
  // trust domain. Null until there is a certificate. Another one after each revision.
  const std::shared_ptr<const TlsContext>& control_plane_tls() const { return control_plane_tls_; }

  // A pushed trust bundle (secret ROOTCA). Refused, with the reason for the NACK, when it is empty,
  // damaged or does not hold the CA of our own certificate. Stored when it is taken.
  Result<void> adopt_bundle(const std::string& pem);

  // For people: "valid until ...", "no certificate: <why>".
  std::string state() const;

 private:
  enum class Way : uint8_t { join, renew };

  void run() override;
  Task& task() { return *this; }
  void load();
  void begin();
  Result<void> ask();
  Way way() const;
  Result<std::string> read_token() const;  // one that may still be accepted
  void spend_token(std::string why);
  Result<std::shared_ptr<const TlsContext>> tls_for(Way way) const;
  void take_answer();
  Result<void> check(const StoredCredentials& answer) const;
  Result<void> publish(StoredCredentials credentials);
  void failed(Error why);
  void arm();
  bool usable() const;  // there is a certificate that has not expired

  Network& network_;
  const CredentialsOptions options_;
  Task& owner_;
  const CredentialStore store_;
  StatShard& shard_;
  const StatId issued_, failed_, rejected_;
  Rng rng_;

  std::optional<config::Identity> identity_;
  CertificateFacts facts_;
  std::shared_ptr<const TlsContext> control_plane_tls_;
  uint64_t revision_ = 0;

  std::unique_ptr<Pool> pool_;
  std::unique_ptr<GrpcCall> call_;
  Way asked_ = Way::join;       // the call that is under way, or was the last
  std::string asking_key_;      // its key
  std::string token_digest_;    // of the token in it
  std::string spent_token_;     // digest of a token that need not be presented again
  std::string spent_why_;
  bool renewal_refused_ = false;
  std::optional<Error> why_not_;
  int64_t ask_at_ = 0;          // Unix seconds
  unsigned failures_ = 0;       // in a row
  Timer timer_{*this};
};

}  // namespace identity
}  // namespace tulle
