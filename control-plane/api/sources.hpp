// What the API asks of other parts of the control plane. The composition root plugs them in.
#pragma once

#include <string>
#include <vector>

#include "control-plane/model/document.hpp"
#include "control-plane/push/sidecar_status.hpp"
#include "control-plane/store/store.hpp"

namespace tulle::api {

// The certificate authority, as far as people command it.
class Authority {
 public:
  // Shown once; good when its write is done.
  struct JoinToken {
    std::string token;
    store::WriteRef write;
  };
  virtual Result<JoinToken> create_join_token(const std::string& namespace_name,
                                              const std::string& service, int64_t lifetime_seconds,
                                              const std::string& actor, Task& owner) = 0;
  // A JSON object without any secret.
  virtual std::string describe() const = 0;
  // The rotation. Errors (bad_request) say why not now.
  virtual Result<void> prepare() = 0;
  virtual Result<void> activate() = 0;
  virtual Result<void> retire(bool force) = 0;

 protected:
  ~Authority() = default;
};

// What the sidecars have acknowledged; asked on every read.
class Acknowledgements {
 public:
  virtual std::vector<push::SidecarStatus> sidecars() const = 0;
  virtual push::DocumentAcceptance acceptance(const model::Document& document) const = 0;

 protected:
  ~Acknowledgements() = default;
};

}  // namespace tulle::api
