#include "control-plane/ca/join_tokens.hpp"

#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/net/secrets.hpp"
#include "core/net/tls_words.hpp"

namespace tulle::ca {

namespace {

// tulle1.<claims>.<mac>, both in base64url. Claims are lines: trust domain, namespace, service,
// expiry, and randomness that makes each token another one.
constexpr std::string_view kPrefix = "tulle1.";
constexpr size_t kLargestToken = 2048;
constexpr size_t kClaimLines = 5;
constexpr const char* kUnused = "join-token";
constexpr const char* kUsed = "join-token-used";

int64_t now_seconds() { return wall_now().us / 1'000'000; }

Error invalid(std::string why) {
  return {Code::unauthenticated, Origin::downstream, "token_invalid: " + std::move(why)};
}

// An RFC 1123 label, which both names are.
bool is_name(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

std::optional<TokenClaims> parse_claims(std::string_view text) {
  std::array<std::string_view, kClaimLines> lines;
  for (size_t i = 0; i < kClaimLines; ++i) {
    const size_t end = text.find('\n');
    if ((end == std::string_view::npos) != (i + 1 == kClaimLines)) return std::nullopt;
    lines[i] = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  TokenClaims claims{std::string(lines[0]), std::string(lines[1]), std::string(lines[2]), 0};
  const char* end = lines[3].data() + lines[3].size();
  const auto [stopped, error] = std::from_chars(lines[3].data(), end, claims.expires);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return claims;
}

}  // namespace

Result<std::unique_ptr<JoinTokens>> JoinTokens::open(const std::string& directory,
                                                     std::string trust_domain,
                                                     store::Store& store) {
  const std::string path = directory + "/token.key";
  auto key = read_small_file(path);
  if (!key && key.error().code == Code::not_found) {
    key = random_bytes(32);
    if (auto written = replace_file(path, *key, 0600); !written) return written.error();
  }
  if (!key) return key.error();
  if (key->size() != 32) {
    return Error{Code::invalid_config, Origin::local,
                 path + ": is damaged. Remove it; join tokens that are not used yet must be made "
                        "anew then"};
  }
  return std::unique_ptr<JoinTokens>(
      new JoinTokens(std::move(*key), std::move(trust_domain), store));
}

Result<JoinTokens::Created> JoinTokens::create(const std::string& namespace_name,
                                               const std::string& service,
                                               int64_t lifetime_seconds, const std::string& actor,
                                               Task* owner) {
  if (!is_name(namespace_name) || !is_name(service)) {
    return Error{Code::bad_request, Origin::downstream,
                 "a token is for a namespace and a service, both DNS labels"};
  }
  if (namespace_name == "tulle-system") {
    return Error{Code::bad_request, Origin::downstream,
                 "namespace tulle-system is the control plane's own: nobody joins it"};
  }
  if (lifetime_seconds < 1 || lifetime_seconds > kLongestLife) {
    return Error{Code::bad_request, Origin::downstream, "a token lives 1 second to 30 days"};
  }
  Created created;
  created.expires = now_seconds() + lifetime_seconds;
  const std::string claims = trust_domain_ + "\n" + namespace_name + "\n" + service + "\n" +
                             std::to_string(created.expires) + "\n" + random_token(16);
  const std::string text = std::string(kPrefix) + base64url(claims);
  created.token = text + "." + base64url(hmac_sha256(key_, text));
  created.write = store_.put(store::Record{kUnused, sha256_hex(created.token), "", created.expires},
                             {actor, "token", namespace_name + "/" + service, ""}, owner);
  return created;
}

Result<TokenClaims> JoinTokens::read(const std::string& token) const {
  const size_t dot = token.rfind('.');
  if (token.size() > kLargestToken || !token.starts_with(kPrefix) || dot < kPrefix.size() ||
      dot == std::string::npos) {
    return invalid("this is no join token");
  }
  const std::string_view text = std::string_view(token).substr(0, dot);
  const auto mac = from_base64url(std::string_view(token).substr(dot + 1));
  const auto bytes = from_base64url(text.substr(kPrefix.size()));
  auto claims = bytes ? parse_claims(*bytes) : std::nullopt;
  if (!mac || !claims) return invalid("the join token is damaged");
  if (!equal_secrets(*mac, hmac_sha256(key_, text))) {
    return Error{Code::unauthenticated, Origin::downstream,
                 "token_foreign: the join token was not made by this control plane"};
  }
  if (claims->trust_domain != trust_domain_) {
    return Error{Code::unauthenticated, Origin::downstream,
                 "token_foreign: the join token is for trust domain " + claims->trust_domain +
                     ", this is " + trust_domain_};
  }
  if (now_seconds() >= claims->expires) {
    return Error{Code::denied, Origin::downstream,
                 "token_expired: the join token expired at " + time_in_words(claims->expires) +
                     "; make a new one"};
  }
  return *claims;
}

Redemption::Redemption(JoinTokens& tokens, const std::string& token, TokenClaims claims,
                       std::string key_fingerprint, Task& owner)
    : store_(tokens.store_),
      digest_(sha256_hex(token)),
      claims_(std::move(claims)),
      key_fingerprint_(std::move(key_fingerprint)),
      owner_(owner),
      write_(store_.take(kUnused, digest_, {}, &owner_)) {}

void Redemption::record(const std::string& fingerprint) {
  step_ = Step::recording;
  write_ = store_.put(store::Record{kUsed, digest_, fingerprint, claims_.expires},
                      {"join token", allowed_ ? "join" : "join refused",
                       claims_.namespace_name + "/" + claims_.service, ""},
                      &owner_);
}

void Redemption::advance() {
  while (!outcome_ && write_->done()) {
    const auto& done = write_->outcome();
    if (!done) {
      outcome_ = Result<void>(Error{Code::overloaded, Origin::local,
                                    "the control plane cannot record the use of the token now: " +
                                        done.error().detail});
      return;
    }
    switch (step_) {
      case Step::taking_unused:
        if (write_->record()) {
          allowed_ = true;
          record(key_fingerprint_);
        } else {
          step_ = Step::taking_used;
          write_ = store_.take(kUsed, digest_, {}, &owner_);
        }
        break;
      case Step::taking_used: {
        if (!write_->record()) {
          outcome_ = Result<void>(Error{Code::denied, Origin::downstream,
                                        "token_used: the join token was used already, or "
                                        "withdrawn; make a new one"});
          return;
        }
        const std::string user = write_->record()->value;
        allowed_ = equal_secrets(user, key_fingerprint_);
        record(user);
        break;
      }
      case Step::recording:
        outcome_ = allowed_ ? Result<void>()
                            : Result<void>(Error{Code::denied, Origin::downstream,
                                                 "token_used: the join token was used already by "
                                                 "another instance; make a new one"});
        return;
    }
  }
}

}  // namespace tulle::ca
