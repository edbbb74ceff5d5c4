#include "sidecar/policies/timeout/timeout.hpp"

#include <algorithm>

#include "envoy/config/route/v3/route_components.pb.h"
#include "sidecar/config/proto_values.hpp"
#include "sidecar/config/supported_fields.hpp"

namespace tulle::policies::timeout {
namespace {

using envoy::config::route::v3::RouteAction;

const config::SupportedFields kFields[] = {
    {"envoy.config.route.v3.RouteAction", {"timeout", "retry_policy"}},
    {"envoy.config.route.v3.RetryPolicy", {"per_try_timeout"}},
};

std::string milliseconds(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()) + "ms";
}

class Timeout final : public Policy {
 public:
  explicit Timeout(const Config& config) : request_(config.request), attempt_(config.attempt) {}

 private:
  Verdict on_request(Request& request) override {
    if (request_ > Duration{0}) {
      request.deadline = std::min(request.deadline, request.started + request_);
    }
    return {};
  }
  Verdict on_attempt(Request&, AttemptPlan& plan) override {
    if (attempt_ > Duration{0}) plan.deadline = std::min(plan.deadline, plan.now + attempt_);
    return {};
  }

  const Duration request_;
  const Duration attempt_;
};

}  // namespace

bool Config::equals(const PolicyConfig& other) const {
  const auto& that = static_cast<const Config&>(other);
  return request == that.request && attempt == that.attempt;
}

std::string Config::text() const {
  std::string out;
  if (request > Duration{0}) out = "request=" + milliseconds(request);
  if (attempt > Duration{0}) out += (out.empty() ? "attempt=" : " attempt=") + milliseconds(attempt);
  return out;
}

std::shared_ptr<const PolicyConfig> parse(const google::protobuf::Message& message,
                                          const config::Place& place) {
  const auto& action = dynamic_cast<const RouteAction&>(message);
  auto parsed = std::make_shared<Config>();
  if (action.has_timeout()) {
    parsed->request =
        config::duration_of(action.timeout(), place.field("timeout")).value_or(Duration{0});
  }
  if (action.retry_policy().has_per_try_timeout()) {
    const config::Place at = place.field("retry_policy").field("per_try_timeout");
    parsed->attempt =
        config::duration_of(action.retry_policy().per_try_timeout(), at).value_or(Duration{0});
  }
  if (parsed->request == Duration{0} && parsed->attempt == Duration{0}) return nullptr;
  return parsed;
}

std::shared_ptr<Policy> make(const std::shared_ptr<const PolicyConfig>& config, const Site&) {
  return std::make_shared<Timeout>(static_cast<const Config&>(*config));
}

std::span<const config::SupportedFields> fields() { return kFields; }

}  // namespace tulle::policies::timeout
