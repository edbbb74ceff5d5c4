#include "sidecar/policies/retry/retry.hpp"

#include <algorithm>
#include <utility>

#include "core/base/rng.hpp"
#include "core/http/head.hpp"

namespace tulle::policies::retry {
namespace {

// gRPC's own numbers (grpc/status.h).
enum Grpc : int {
  kCancelled = 1,
  kDeadlineExceeded = 4,
  kResourceExhausted = 8,
  kInternal = 13,
  kUnavailable = 14,
};

bool is_gateway_error(int status) { return status >= 502 && status <= 504; }

class Retry final : public Policy {
 public:
  Retry(std::shared_ptr<const PolicyConfig> config, PolicyHost& host)
      : kept_(std::move(config)), config_(static_cast<const Config&>(*kept_)), host_(host) {}

 private:
  Verdict on_request(Request& request) override {
    request.replay_limit = std::max(request.replay_limit, kReplayBytes);
    return {};
  }

  void on_outcome(Request& request, const Outcome& outcome, RetryPlan& plan) override {
    const bool named = names_answer(outcome);
    if (!named && !covers(outcome)) return;
    // What further on has given up after trying again must not be tried again by every hop.
    if (outcome.hop_exhausted || request.attempts > config_.retries) {
      request.exhausted = true;
      return;
    }
    if (!outcome.repeatable) return;
    if (!named && !is_unprocessed(outcome.end) && !may_run_twice(*request.head)) return;
    plan.wanted = true;
    // Nothing was sent and another endpoint is next: waiting would help nobody. Later the trouble
    // may be a common one.
    const bool at_once = request.attempts == 1 && is_unprocessed(outcome.end);
    plan.delay = at_once ? Duration{0} : pause_before(request.attempts, config_, host_.rng());
  }

  static bool is_unprocessed(End end) { return end == End::unconnected || end == End::refused; }
  static bool may_run_twice(const Head& head) {
    return is_idempotent(head.method) || head.fields.has(FieldId::idempotency_key);
  }

  // An answer that a person has named as one to ask again for, whatever the method.
  bool names_answer(const Outcome& outcome) const {
    if (outcome.answer == nullptr) return false;
    const auto is = [&](On word, int grpc) {
      return config_.has(word) && outcome.grpc_status == grpc;
    };
    if (is(On::cancelled, kCancelled) || is(On::deadline_exceeded, kDeadlineExceeded) ||
        is(On::internal, kInternal) || is(On::resource_exhausted, kResourceExhausted) ||
        is(On::unavailable, kUnavailable)) {
      return true;
    }
    const int status = outcome.answer->status;
    if (config_.has(On::conflict) && status == 409) return true;
    return config_.has(On::status_codes) &&
           std::ranges::find(config_.status_codes, static_cast<uint32_t>(status)) !=
               config_.status_codes.end();
  }

  bool covers(const Outcome& outcome) const {
    const bool any_end = config_.has(On::reset) || config_.has(On::server_error);
    if (outcome.answer != nullptr) {
      const int status = outcome.answer->status;
      if (config_.has(On::server_error) && status >= 500) return true;
      if (config_.has(On::gateway_error) && is_gateway_error(status)) return true;
    }
    switch (outcome.end) {
      case End::unconnected: return any_end || config_.has(On::connect_failure);
      case End::refused: return any_end || config_.has(On::refused_stream);
      case End::stale: return any_end || config_.has(On::reset_before_request);
      case End::reset: return any_end;
      case End::timed_out: return any_end || config_.has(On::gateway_error);
      case End::answered:
      case End::limited:
      case End::abandoned: return false;
    }
    UNREACHABLE();
  }

  const std::shared_ptr<const PolicyConfig> kept_;
  const Config& config_;
  PolicyHost& host_;
};

}  // namespace

Duration pause_before(uint32_t retry, const Config& config, Rng& rng) {
  const double factor = static_cast<double>((uint64_t{1} << std::min(retry, 20u)) - 1);
  const double bound = std::min(factor * static_cast<double>(config.base.count()),
                                static_cast<double>(config.most.count()));
  return Duration(static_cast<int64_t>(rng.unit() * bound));
}

bool Config::equals(const PolicyConfig& other) const {
  const auto& that = static_cast<const Config&>(other);
  return on == that.on && status_codes == that.status_codes && retries == that.retries &&
         base == that.base && most == that.most;
}

std::shared_ptr<Policy> make(const std::shared_ptr<const PolicyConfig>& config, const Site& site) {
  return std::make_shared<Retry>(config, site.host);
}

}  // namespace tulle::policies::retry
