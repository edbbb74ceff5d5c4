// CertificateControl: the certificate authority as the API sees it.
#pragma once

#include "control-plane/api/sources.hpp"

namespace tulle::ca {
class Authority;
class JoinTokens;
}  // namespace tulle::ca

namespace tulle::api {

class CertificateControl final : public Authority {
 public:
  CertificateControl(ca::Authority& authority, ca::JoinTokens& tokens)
      : authority_(authority), tokens_(tokens) {}

  Result<JoinToken> create_join_token(const std::string& namespace_name, const std::string& service,
                                      int64_t lifetime_seconds, const std::string& actor,
                                      Task& owner) override;
  std::string describe() const override;
  Result<void> prepare() override;
  Result<void> activate() override;
  Result<void> retire(bool force) override;

 private:
  ca::Authority& authority_;
  ca::JoinTokens& tokens_;
};

}  // namespace tulle::api
