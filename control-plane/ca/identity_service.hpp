// IdentityService: the call by which sidecars get and renew certificates
// (POST /tulle.identity.v1.IdentityService/Sign on the xDS port).
//
// Decides who the caller is: by its join token when it brings one, else by the verified certificate
// of its connection. The request contributes a key; when it asks for a name that is not the
// caller's, it is refused and the token stays unused. One task per call.
#pragma once

#include <memory>
#include <string>

#include "control-plane/ca/authority.hpp"
#include "control-plane/ca/join_tokens.hpp"
#include "control-plane/ca/signing_policy.hpp"
#include "core/http/stream.hpp"

namespace tulle::ca {

class IdentityService {
 public:
  IdentityService(Loop& loop, Authority& authority, JoinTokens& tokens, SigningLimits limits = {})
      : loop_(loop), authority_(authority), tokens_(tokens), policy_(limits) {}

  // For Service::serve(), when the path is xds::kSignPath.
  std::unique_ptr<Task> serve(StreamRef stream);

 private:
  friend class SignCall;
  Loop& loop_;
  Authority& authority_;
  JoinTokens& tokens_;
  SigningPolicy policy_;
};

}  // namespace tulle::ca
