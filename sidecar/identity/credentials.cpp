#include "sidecar/identity/credentials.hpp"

#include <algorithm>
#include <utility>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/log.hpp"
#include "core/http/grpc_call.hpp"
#include "core/net/loop.hpp"
#include "core/net/secrets.hpp"
#include "core/net/tls_words.hpp"
#include "core/net/x509_issue.hpp"
#include "core/net/x509_request.hpp"
#include "xds/messages.hpp"

namespace tulle::identity {

namespace {

constexpr size_t kLargestAnswer = 512 * 1024;  // a chain and a bundle of 32 certificates have 100 KiB
constexpr size_t kLargestToken = 4096;
constexpr Duration kAnswerWithin = 10s;
// The monotonic clock stands still while a laptop sleeps: the wall clock is looked at this often.
constexpr int64_t kLookEvery = 60;
// Without a certificate nothing works, so somebody is waiting.
constexpr double kLongestPauseWithout = 5;
constexpr double kLongestPauseWith = 60;

int64_t now_seconds() { return wall_now().us / 1'000'000; }

Error refused(std::string why) {
  return {Code::identity_mismatch, Origin::upstream, std::move(why)};
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += part;
  return text;
}

std::string trimmed(std::string text) {
  const size_t end = text.find_last_not_of(" \t\r\n");
  text.resize(end == std::string::npos ? 0 : end + 1);
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string::npos ? std::string() : text.substr(begin);
}

// Answers that say no to whom we are, not that something is broken for the moment.
bool says_no(const Error& why) {
  return why.code == Code::unauthenticated || why.code == Code::denied ||
         why.code == Code::tls_failed || why.code == Code::identity_mismatch;
}

Error error_of(const GrpcStatus& status) {
  switch (status.code) {
    case GrpcCode::unauthenticated:
      return {Code::unauthenticated, Origin::upstream, status.message};
    case GrpcCode::permission_denied:
      return {Code::denied, Origin::upstream, status.message};
    case GrpcCode::resource_exhausted:
      return {Code::rate_limited, Origin::upstream, status.message};
    default:
      return {Code::connect_failed, Origin::upstream, status.to_string()};
  }
}

}  // namespace

Credentials::Credentials(Loop& loop, Network& network, CredentialsOptions options,
                         StatRegistry& stats, StatShard& shard, uint64_t seed, Task& owner)
    : Task(loop),
      network_(network),
      options_(std::move(options)),
      owner_(owner),
      store_(options_.directory),
      shard_(shard),
      issued_(stats.counter("tulle_identity_requests_total",
                            "Requests for a certificate of our own", {{"outcome", "issued"}})),
      failed_(stats.counter("tulle_identity_requests_total", "", {{"outcome", "failed"}})),
      rejected_(stats.counter("tulle_identity_requests_total", "", {{"outcome", "rejected"}})),
      rng_(seed) {
  load();
  wake();
}

Credentials::~Credentials() = default;

bool Credentials::usable() const { return identity_ && now_seconds() < facts_.not_after; }

void Credentials::load() {
  auto stored = store_.load();
  if (!stored) return log::error("stored certificate not used: " + stored.error().detail);
  if (!*stored) return;
  const auto facts = read_certificate((*stored)->certificate_pem, store_.certificate_path());
  if (facts && facts->spiffe_id != options_.spiffe_id) {
    return log::error("stored certificate not used: " + store_.certificate_path() + " is for " +
                      facts->spiffe_id + ", this sidecar is " + options_.spiffe_id);
  }
  const auto published = publish(std::move(**stored));
  if (!published) return log::error("stored certificate not used: " + published.error().detail);
  const int64_t half = (facts_.not_after - facts_.not_before) / 2;
  ask_at_ = facts_.not_after - static_cast<int64_t>(static_cast<double>(half) *
                                                    (0.9 + 0.2 * rng_.unit()));
}

void Credentials::run() {
  if (call_ != nullptr && call_->done()) take_answer();
  if (timer_.fired()) timer_.disarm();
  // Armed: a pause after a failure, which may be shorter than the seconds of ask_at_.
  if (call_ == nullptr && !timer_.armed() && now_seconds() >= ask_at_) begin();
  arm();
}

// While a call is under way it is what wakes us.
void Credentials::arm() {
  if (call_ != nullptr || timer_.armed()) return;
  const int64_t wait = std::clamp<int64_t>(ask_at_ - now_seconds(), 0, kLookEvery);
  // A fraction on top: many sidecars that were started in one second do not ask in one second.
  timer_.arm(std::chrono::milliseconds(wait * 1000 + static_cast<int64_t>(rng_.below(500))));
}

void Credentials::begin() {
  const auto asked = ask();
  if (!asked) failed(asked.error());
}

// Whoever does not accept our certificate may accept a token, if there is one.
Credentials::Way Credentials::way() const {
  if (!usable()) return Way::join;
  return renewal_refused_ && read_token() ? Way::join : Way::renew;
}

Result<std::string> Credentials::read_token() const {
  const std::string lead =
      identity_ ? "the certificate expired at " + time_in_words(facts_.not_after) +
                      " and only a new join token helps: "
                : "no certificate yet: ";
  const std::string& path = options_.join_token_file;
  if (path.empty()) {
    return Error{Code::unauthenticated, Origin::local, lead + "no join_token_file is configured"};
  }
  auto text = read_small_file(path, kLargestToken);
  if (!text) return Error{text.error().code, Origin::local, lead + text.error().detail};
  std::string token = trimmed(std::move(*text));
  if (token.empty()) return Error{Code::unauthenticated, Origin::local, lead + path + " is empty"};
  if (sha256(token) == spent_token_) {
    return Error{Code::unauthenticated, Origin::local,
                 lead + "put one into " + path + ", what is there was refused or used (" +
                     spent_why_ + ")"};
  }
  return token;
}

Result<std::shared_ptr<const TlsContext>> Credentials::tls_for(Way way) const {
  TlsOptions tls;
  if (way == Way::renew) {
    tls.certificate_pem = identity_->certificate_pem;
    tls.key_pem = identity_->key_pem;
    tls.trust_pem = identity_->trust_pem;
    tls.origin = identity_->origin;
  } else {
    auto trust = read_small_file(options_.trust_file);
    if (!trust) return trust.error();
    tls.trust_pem = std::move(*trust);
    tls.origin = options_.trust_file;
  }
  tls.alpn = {"h2"};
  tls.peer_sans = {{SanMatcher::Type::uri, SanMatcher::Kind::exact,
                    "spiffe://" + options_.trust_domain + "/ns/tulle-system/sa/control-plane"}};
  return TlsContext::client(tls, "");
}

Result<void> Credentials::ask() {
  asked_ = way();
  xds::SignRequest request;
  std::shared_ptr<const TlsContext> tls = control_plane_tls_;
  token_digest_.clear();
  if (asked_ == Way::join) {
    auto token = read_token();
    if (!token) return token.error();
    token_digest_ = sha256(*token);
    request.join_token = std::move(*token);
    auto made = tls_for(Way::join);
    if (!made) return made.error();
    tls = std::move(*made);
  }
  auto key = store_.next_key();
  if (!key) return key.error();
  asking_key_ = std::move(*key);
  auto csr = make_request(asking_key_, options_.spiffe_id);
  if (!csr) return csr.error();
  request.csr_pem = std::move(*csr);

  Pool::Options pool;
  pool.address = options_.control_plane;
  pool.protocol = Protocol::http2;
  pool.tls = std::move(tls);
  pool_ = std::make_unique<Pool>(loop_, network_, pool, nullptr);
  GrpcRequest call;
  call.authority = options_.control_plane.to_string();
  call.path = xds::kSignPath;
  call.message = xds::encode(request);
  call.timeout = kAnswerWithin;
  call.max_message = kLargestAnswer;
  call_ = std::make_unique<GrpcCall>(loop_, *pool_, std::move(call), task());
  return {};
}

void Credentials::take_answer() {
  const GrpcAnswer answer = call_->answer();
  call_.reset();
  pool_.reset();
  if (!answer.status.ok()) {
    const Error why = answer.failure ? *answer.failure : error_of(answer.status);
    // Everything else may be different the next time; a token that was refused stays refused.
    const bool said = !answer.failure;
    if (said && (why.code == Code::unauthenticated || why.code == Code::denied)) {
      spend_token(why.detail);
    }
    return failed(why);
  }
  auto signed_by = xds::decode_sign_response(answer.message);
  if (!signed_by) return failed(signed_by.error());
  StoredCredentials fresh{std::move(signed_by->certificate_chain_pem), asking_key_,
                          std::move(signed_by->trust_bundle_pem)};
  auto good = check(fresh);
  if (good) good = publish(fresh);
  if (!good) {
    shard_.add(rejected_);
    good.error().detail = "what the control plane answered is rejected: " + good.error().detail;
    log::error(good.error().detail);
    return failed(good.error());
  }
  spend_token("used for the present certificate");
  fresh.bundle_pem = identity_->trust_pem;
  if (const auto stored = store_.save(fresh); !stored) {
    log::error("certificate in use but not stored, a restart will need a new token: " +
               stored.error().detail);
  }
  shard_.add(issued_);
  failures_ = 0;
  why_not_.reset();
  renewal_refused_ = false;
  // Of what is left by our clock, but never more than the certificate's own life: a clock that is
  // behind must not make us late.
  const int64_t now = now_seconds();
  const int64_t left = std::min(facts_.not_after - now, facts_.not_after - facts_.not_before);
  ask_at_ = now + std::max<int64_t>(
                      1, static_cast<int64_t>(static_cast<double>(left) * 0.5 *
                                              (0.9 + 0.2 * rng_.unit())));
  log::info(std::string(asked_ == Way::join ? "joined" : "certificate renewed") +
            " identity=" + facts_.spiffe_id + " not_after=" + std::to_string(facts_.not_after));
}

Result<void> Credentials::check(const StoredCredentials& answer) const {
  const auto facts = read_certificate(answer.certificate_pem, "");
  if (!facts) return facts.error();
  if (facts->spiffe_id != options_.spiffe_id) {
    return refused("a certificate for " +
                   (facts->spiffe_id.empty() ? "nobody" : facts->spiffe_id) + ", this sidecar is " +
                   options_.spiffe_id);
  }
  if (const auto own = check_key_matches(answer.certificate_pem, answer.key_pem, ""); !own) {
    return refused("a certificate for another key than ours");
  }
  const int64_t now = now_seconds();
  if (now >= facts->not_after) {
    return refused("a certificate that expired " + std::to_string(now - facts->not_after) +
                   " s ago by our clock (is the clock right?)");
  }
  if (now < facts->not_before) {
    log::warn("our clock is behind the control plane's seconds=" +
              std::to_string(facts->not_before - now));
  }
  const auto bundle = split_bundle(answer.bundle_pem, "");
  if (!bundle) return bundle.error();
  const auto held = verify_chain(answer.certificate_pem, answer.bundle_pem,
                                 std::max(now, facts->not_before));
  if (!held) return held.error();
  // A rotation always keeps a CA for as long as its certificates live, so some CA is in both.
  if (asked_ == Way::renew) {
    const auto former = split_bundle(identity_->trust_pem, "");
    const bool overlaps = former && std::ranges::any_of(*bundle, [&](const std::string& each) {
      return std::ranges::find(*former, each) != former->end();
    });
    if (!overlaps) return refused("a trust bundle without any CA that was trusted so far");
  }
  return {};
}

Result<void> Credentials::publish(StoredCredentials credentials) {
  const auto facts = read_certificate(credentials.certificate_pem, store_.certificate_path());
  if (!facts) return facts.error();
  const auto bundle = split_bundle(credentials.bundle_pem, "");
  if (!bundle) return bundle.error();
  std::optional<config::Identity> former = std::exchange(
      identity_, config::Identity{std::move(credentials.certificate_pem),
                                  std::move(credentials.key_pem), joined(*bundle),
                                  options_.trust_domain, store_.certificate_path()});
  auto tls = tls_for(Way::renew);
  if (!tls) {
    identity_ = std::move(former);
    return tls.error();
  }
  control_plane_tls_ = std::move(*tls);
  facts_ = *facts;
  ++revision_;
  owner_.wake();
  return {};
}

Result<void> Credentials::adopt_bundle(const std::string& pem) {
  if (!identity_) {
    return Error{Code::invalid_config, Origin::local, "trust bundle: there is no certificate yet"};
  }
  const auto bundle = split_bundle(pem, "");
  if (!bundle) return bundle.error();
  if (joined(*bundle) == identity_->trust_pem) return {};
  const int64_t at = std::clamp(now_seconds(), facts_.not_before, facts_.not_after);
  if (const auto held = verify_chain(identity_->certificate_pem, pem, at); !held) {
    shard_.add(rejected_);
    return Error{Code::invalid_config, Origin::local,
                 "trust bundle: lacks the CA of our own certificate"};
  }
  auto published = publish({identity_->certificate_pem, identity_->key_pem, pem});
  if (!published) return published;
  if (const auto stored = store_.save_bundle(identity_->trust_pem); !stored) {
    log::error("trust bundle in use but not stored: " + stored.error().detail);
  }
  return {};
}

void Credentials::spend_token(std::string why) {
  if (asked_ != Way::join) return;
  spent_token_ = token_digest_;
  spent_why_ = std::move(why);
}

void Credentials::failed(Error why) {
  shard_.add(failed_);
  renewal_refused_ = asked_ == Way::renew && says_no(why);
  const bool news = !why_not_ || why_not_->detail != why.detail;
  ++failures_;
  if (news || (failures_ & (failures_ - 1)) == 0) {
    log::warn(std::string(asked_ == Way::join ? "cannot join" : "cannot renew the certificate") +
              " tries=" + std::to_string(failures_) + " why=" + why.detail);
  }
  if (news) owner_.wake();
  why_not_ = std::move(why);
  const int64_t now = now_seconds();
  const double longest =
      usable() ? std::clamp(static_cast<double>(facts_.not_after - now) / 8, 1.0, kLongestPauseWith)
               : kLongestPauseWithout;
  const double doubled = static_cast<double>(1u << std::min(failures_ - 1, 6u));
  const double pause = std::min(doubled, longest) * (0.5 + 0.5 * rng_.unit());
  ask_at_ = now + static_cast<int64_t>(pause);
  timer_.arm(std::chrono::milliseconds(static_cast<int64_t>(pause * 1000)));
}

std::string Credentials::state() const {
  if (!identity_) return "no certificate: " + (why_not_ ? why_not_->detail : "asking for one");
  std::string text = usable() ? "valid until " : "expired at ";
  text += time_in_words(facts_.not_after);
  if (why_not_) text += "; not renewed: " + why_not_->detail;
  return text;
}

}  // namespace tulle::identity
