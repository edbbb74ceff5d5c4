// Join tokens: the one-time right to a first certificate of one service.
//
// A token is its claims and a MAC over them, so what is forged, foreign or expired is refused
// without a look at the store, whoever sends how many of them. The store knows the SHA-256 of those
// that were not used yet: taking that record is using the token. What was used may be presented
// again with the same key until it expires: the answer may have been lost on its way, and whoever
// holds the key can do nothing more with another certificate for it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "control-plane/store/store.hpp"
#include "core/base/result.hpp"

namespace tulle::ca {

struct TokenClaims {
  std::string trust_domain;
  std::string namespace_name;
  std::string service;
  int64_t expires = 0;  // Unix seconds
};

class JoinTokens {
 public:
  static constexpr int64_t kLongestLife = 30 * 86400;

  // The key of the MAC lies in `directory` (token.key, 0600) and is made when it is absent.
  static Result<std::unique_ptr<JoinTokens>> open(const std::string& directory,
                                                  std::string trust_domain, store::Store& store);

  struct Created {
    std::string token;      // shown once; nobody can find it out again
    int64_t expires = 0;
    store::WriteRef write;  // the token holds from done() on
  };
  // `bad_request` when the lifetime or a name is impossible.
  Result<Created> create(const std::string& namespace_name, const std::string& service,
                         int64_t lifetime_seconds, const std::string& actor, Task* owner);

  // What a token says, when it is ours and has not expired. Does not use it. Errors begin with
  // their code: token_invalid, token_foreign (of another mesh, or not of this authority),
  // token_expired.
  Result<TokenClaims> read(const std::string& token) const;

 private:
  friend class Redemption;
  JoinTokens(std::string key, std::string trust_domain, store::Store& store)
      : key_(std::move(key)), trust_domain_(std::move(trust_domain)), store_(store) {}

  const std::string key_;
  const std::string trust_domain_;
  store::Store& store_;
};

// Uses a token that was read. A member of the task that waits for it; the task is woken by the
// store, calls advance(), and looks at outcome().
class Redemption {
 public:
  Redemption(JoinTokens& tokens, const std::string& token, TokenClaims claims,
             std::string key_fingerprint, Task& owner);

  void advance();
  // Set once: success, or token_used, or that the store cannot be written.
  const std::optional<Result<void>>& outcome() const { return outcome_; }
  const TokenClaims& claims() const { return claims_; }

 private:
  enum class Step : uint8_t { taking_unused, taking_used, recording };
  void record(const std::string& fingerprint);

  store::Store& store_;
  const std::string digest_;
  const TokenClaims claims_;
  const std::string key_fingerprint_;
  Task& owner_;
  Step step_ = Step::taking_unused;
  bool allowed_ = false;  // after recording
  store::WriteRef write_;
  std::optional<Result<void>> outcome_;
};

}  // namespace tulle::ca
