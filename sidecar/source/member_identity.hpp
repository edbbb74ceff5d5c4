// MemberIdentity: who a member of a mesh is, whom it trusts, and how it shows that to the control
// plane. Main loop only.
//
// Owns the credentials when the control plane issues them; else the identity is the bootstrap's
// files. A pushed trust bundle (secret ROOTCA) is not compiled: the identity brings it, wherever
// "ROOTCA" is named. What is pushed and cannot be used changes nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/config/bootstrap.hpp"
#include "sidecar/config/materials.hpp"
#include "sidecar/identity/credentials.hpp"
#include "sidecar/source/environment.hpp"

namespace tulle::source {

inline constexpr std::string_view kTrustSecret = "ROOTCA";

class MemberIdentity {
 public:
  // `files`: the bootstrap's identity. The owner is woken when one has been issued or renewed.
  MemberIdentity(const SourceEnvironment& environment, const config::Membership& membership,
                 std::optional<config::Identity> files);

  // Nothing: not issued yet, or the bootstrap names no files.
  const std::optional<config::Identity>& present() const { return present_; }
  // For connections to the control plane; null: none can be made yet. Another one after each change.
  const std::shared_ptr<const TlsContext>& control_plane_tls() const { return tls_; }

  // Takes in what was issued or renewed. True: present() is another one.
  bool advance();
  // The secret kTrustSecret, each time it may be another one. An Error is a reason to refuse it.
  Result<void> take_trust(const xds::Resource& secret);
  // The files have been read again; the trust bundle that was pushed is to be taken anew.
  void reload(std::optional<config::Identity> files);

  std::string state() const;  // for people

 private:
  void use_files();

  std::optional<config::Identity> present_;
  std::shared_ptr<const TlsContext> tls_;
  std::unique_ptr<identity::Credentials> credentials_;  // null: the identity is in files
  uint64_t revision_seen_ = 0;
  xds::ContentHash trust_seen_{};
};

}  // namespace tulle::source
