#include "sidecar/policies/outlier_detection/outlier_detection.hpp"

#include <algorithm>

#include "core/base/rng.hpp"
#include "core/net/loop.hpp"

namespace tulle::policies::outlier_detection {
namespace {

// What another worker has found out.
struct Finding final : Note {
  Address endpoint;
  bool ejected = false;
  Instant until{};
  uint32_t ejections = 0;
};

// How an attempt speaks for or against its endpoint.
enum class Testimony : uint8_t { none, good, server_error, gateway_error, no_answer };

Testimony testimony_of(const Outcome& outcome) {
  if (outcome.answer != nullptr) {
    if (outcome.status >= 502 && outcome.status <= 504) return Testimony::gateway_error;
    return outcome.status >= 500 ? Testimony::server_error : Testimony::good;
  }
  switch (outcome.end) {
    case End::unconnected:
    case End::reset:
    case End::timed_out: return Testimony::no_answer;
    // Going away politely, and a kept connection that was too old, say nothing about health.
    case End::refused:
    case End::stale:
    case End::limited:
    case End::abandoned:
    case End::answered: return Testimony::none;
  }
  UNREACHABLE();
}

void forgive(EndpointHealth& health) {
  health.gateway_failures = health.server_errors = health.local_failures = 0;
}

class OutlierDetection final : public Policy {
 public:
  OutlierDetection(const Config& config, const Site& site)
      : config_(config), site_(site), host_(site.host), cluster_(*site.cluster) {
    ejections_ = host_.counter("tulle_ejections_total", "Endpoints left out because they failed",
                               {{"cluster", cluster_.name()}});
  }

 private:
  void on_outcome(Request&, const Outcome& outcome, RetryPlan&) override {
    EndpointHealth& health = *outcome.endpoint;
    const Testimony testimony = testimony_of(outcome);
    if (outcome.probe) return judge_probe(health, testimony, outcome.now);
    // Attempts that began before the ejection are old news.
    if (health.ejected || testimony == Testimony::none) return;
    if (record(health, testimony)) eject(health, outcome.now, true);
  }

  void judge_probe(EndpointHealth& health, Testimony testimony, Instant now) {
    if (!health.ejected) return;  // another worker was quicker
    health.probing = false;
    if (testimony == Testimony::none) return;
    const bool good = testimony == Testimony::good ||
                      (testimony == Testimony::server_error && config_.server.in_a_row == 0);
    if (!good) return eject(health, now, false);
    readmit(health, now);
    auto finding = std::make_shared<Finding>();
    finding->endpoint = health.address;
    tell(std::move(finding));
  }

  // True: one of the counts is full.
  bool record(EndpointHealth& health, Testimony testimony) {
    const bool no_answer = testimony == Testimony::no_answer;
    const bool apart = no_answer && config_.split;
    const bool gateway = testimony == Testimony::gateway_error || (no_answer && !apart);
    const bool server = testimony == Testimony::server_error || gateway;
    if (!apart) {
      health.gateway_failures = gateway ? health.gateway_failures + 1 : 0;
      health.server_errors = server ? health.server_errors + 1 : 0;
    }
    health.local_failures = apart ? health.local_failures + 1 : 0;
    return full(config_.gateway, health.gateway_failures) ||
           full(config_.server, health.server_errors) ||
           full(config_.local, health.local_failures);
  }

  bool full(const Detector& detector, uint32_t& count) {
    if (detector.in_a_row == 0 || count < detector.in_a_row) return false;
    count = 0;
    return detector.enforced_percent >= 100 || host_.rng().below(100) < detector.enforced_percent;
  }

  bool may_eject_another() const {
    const size_t ejected = cluster_.ejected_count();
    if (ejected == 0 && config_.always_one && cluster_.endpoint_count() > 1) return true;
    return (ejected + 1) * 100 <= cluster_.endpoint_count() * config_.most_percent;
  }

  void eject(EndpointHealth& health, Instant now, bool fresh) {
    if (fresh && !may_eject_another()) return;
    if (fresh) {
      const auto good = (now - health.readmitted_at) / config_.forgets;
      health.ejections -= static_cast<uint32_t>(std::min<int64_t>(health.ejections, good));
    }
    ++health.ejections;
    auto finding = std::make_shared<Finding>();
    finding->endpoint = health.address;
    finding->ejected = true;
    finding->until = now + config_.ejection_time(health.ejections);
    finding->ejections = health.ejections;
    const bool first = cluster_.eject(health, finding->until);
    if (first || !fresh) host_.count(ejections_, 1);
    tell(std::move(finding));
  }

  void readmit(EndpointHealth& health, Instant now) {
    forgive(health);
    health.readmitted_at = now;
    cluster_.readmit(health);
  }

  void tell(std::shared_ptr<const Finding> finding) {
    host_.tell_siblings(site_, std::move(finding));
  }

  void on_note(const Note& note) override {
    const auto& finding = static_cast<const Finding&>(note);
    EndpointHealth* health = cluster_.find(finding.endpoint);
    if (health == nullptr) return;
    if (!finding.ejected) {
      if (health->ejected) readmit(*health, host_.loop().now());
      return;
    }
    health->ejections = std::max(health->ejections, finding.ejections);
    cluster_.eject(*health, finding.until);
  }

  void on_removed() override { cluster_.readmit_all(); }

  const Config config_;
  const Site site_;
  PolicyHost& host_;
  PolicyCluster& cluster_;
  StatId ejections_{};
};

}  // namespace

Duration Config::ejection_time(uint32_t ejections) const {
  Duration time = base;
  for (uint32_t i = 1; i < ejections && time < most; ++i) time *= 2;
  return std::min(time, most);
}

bool Config::equals(const PolicyConfig& other) const {
  const auto& that = static_cast<const Config&>(other);
  return gateway == that.gateway && server == that.server && local == that.local &&
         split == that.split && base == that.base && most == that.most &&
         forgets == that.forgets && most_percent == that.most_percent &&
         always_one == that.always_one;
}

std::shared_ptr<Policy> make(const std::shared_ptr<const PolicyConfig>& config, const Site& site) {
  return std::make_shared<OutlierDetection>(static_cast<const Config&>(*config), site);
}

}  // namespace tulle::policies::outlier_detection
