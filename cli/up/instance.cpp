#include "cli/up/instance.hpp"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace tulle::cli {
namespace {

using State = SupervisedProcess::State;

constexpr Duration kSlowStart = 10s;      // worth a word why it is not up
constexpr int kTokenLifetimeSeconds = 300;
constexpr Duration kSidecarGrace = 8s;    // its own grace for running exchanges, and a little
constexpr Duration kServiceGrace = 5s;

Address loopback(uint16_t port) { return Address::parse("127.0.0.1", port).value(); }

Address service_address(const InstancePlan& plan) {
  return Address::parse(plan.address, plan.port).value();
}

ProcessSpec sidecar_spec(const InstancePlan& plan) {
  return {plan.name + ".sidecar", plan.sidecar, {loopback(plan.admin_port), "/ready"}, true,
          kSidecarGrace};
}

ProcessSpec service_spec(const InstancePlan& plan) {
  return {plan.name, plan.child, {service_address(plan), plan.health},
          plan.restart == ServiceGroup::Restart::always, kServiceGrace};
}

ApiRequest token_request(const InstancePlan& plan) {
  return {Method::post, "/v1/tokens",
          nlohmann::json{{"namespace", "default"},
                         {"service", plan.service},
                         {"ttlSeconds", kTokenLifetimeSeconds}}.dump()};
}

std::string seconds_text(Duration duration) {
  const int64_t tenths = (duration.count() + 50'000'000) / 100'000'000;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

}  // namespace

Instance::Instance(Loop& loop, SupervisedProcess::Surroundings surroundings, ApiClient& client,
                   const InstancePlan& plan, Task& owner)
    : Task(loop),
      surroundings_(surroundings),
      client_(client),
      plan_(plan),
      owner_(owner),
      sidecar_(loop, surroundings, sidecar_spec(plan), *this),
      service_(loop, surroundings, service_spec(plan), *this),
      slow_(*this) {
  wake();
}

Instance::~Instance() = default;

void Instance::run() {
  if (!stopping_) {
    start_sidecar();
    const bool due = service_.state() == State::idle || service_.state() == State::due;
    if (due && sidecar_.state() == State::up) {
      service_.start();
      slow_.arm(kSlowStart);
    }
  }
  tell(sidecar_, told_sidecar_);
  tell(service_, told_service_);
  if (slow_.fired()) tell_slow_start();
  owner_.wake();
}

void Instance::start_sidecar() {
  if (sidecar_.state() != State::idle && sidecar_.state() != State::due) return;
  if (token_ == nullptr) {
    if (!refusal_.empty()) return;
    token_ = std::make_unique<ApiCall>(client_, token_request(plan_), task());
  }
  if (!token_->done()) return;
  const bool stored = store_token();
  token_.reset();
  if (stored || sidecar_.state() == State::due) {
    refusal_.clear();
    sidecar_.start();
  } else {
    surroundings_.journal.event(plan_.name, Journal::Weight::error, refusal_);
  }
}

// False: refusal_ says why.
bool Instance::store_token() {
  Result<ApiAnswer> answer = token_->take();
  if (!answer) {
    refusal_ = "no join token: " + answer.error().detail;
    return false;
  }
  const nlohmann::json document = nlohmann::json::parse(answer->body, nullptr, false);
  const bool usable = answer->accepted() && document.is_object() && document.contains("token") &&
                      document["token"].is_string();
  if (!usable) {
    refusal_ = "no join token: " + describe_refusal(*answer);
    return false;
  }
  Result<void> written =
      write_file(plan_.token_path, document["token"].get<std::string>() + "\n", 0600);
  if (written && plan_.sidecar_user) written = hand_to_sidecar();
  if (!written) refusal_ = written.error().detail;
  return written.has_value();
}

// A sidecar with a user and a view of the machine of its own gets what it reads beside what it writes.
Result<void> Instance::hand_to_sidecar() const {
  const Result<std::string> bundle = read_whole_file(plan_.trust_bundle);
  if (!bundle) return bundle.error();
  if (Result<void> written = write_file(plan_.directory + "/root.pem", *bundle); !written) return written;
  if (::chown(plan_.token_path.c_str(), *plan_.sidecar_user, *plan_.sidecar_user) == 0) return {};
  return Error{Code::io_error, Origin::local, plan_.token_path + ": " + ::strerror(errno)};
}

void Instance::tell(const SupervisedProcess& process, State& told) {
  const State now = process.state();
  if (now == std::exchange(told, now)) return;
  Journal& journal = surroundings_.journal;
  const std::string& name = process.spec().name;
  const bool is_service = &process == &service_;
  switch (now) {
    case State::up:
      if (!is_service && process.deaths() == 0) return;
      journal.event(name, Journal::Weight::good,
                    is_service ? "up, http://" + service_address(plan_).to_string() : "up again");
      if (is_service) slow_.disarm();
      return;
    case State::unhealthy:
      journal.event(name, Journal::Weight::warning, "unhealthy: " + process.health_reason());
      return;
    case State::waiting:
    case State::ended:
    case State::failed:
      return tell_death(process);
    default:
      return;
  }
}

void Instance::tell_death(const SupervisedProcess& process) {
  const std::string& name = process.spec().name;
  std::string text;
  Journal::Weight weight = Journal::Weight::error;
  if (process.deaths() == 0) {
    text = "cannot be started: " + process.why();
  } else if (process.state() == State::ended) {
    text = "ended with " + process.why();
    weight = Journal::Weight::info;
  } else {
    text = "died: " + process.why() +
           (process.state() == State::waiting
                ? "; starts again in " + seconds_text(process.next_start_in())
                : "; is not started again (restart: never)");
    if (!process.last_lines().empty()) text += "; its last lines:";
    for (const std::string& line : process.last_lines()) text += "\n  | " + line;
    if (process.last_lines().empty()) text += "; it said nothing";
  }
  surroundings_.journal.event(name, weight, text);
}

void Instance::tell_slow_start() {
  slow_.disarm();
  if (service_.state() != State::starting) return;
  surroundings_.journal.event(
      plan_.name, Journal::Weight::warning,
      "has started but is not up after 10 s: " + service_.health_reason() +
          "\n  It must listen on " +
          (plan_.network_namespace.empty() ? "127.0.0.1" : "all addresses, not only on loopback") +
          ", on the port in the variable PORT (" +
          std::to_string(plan_.port) + ")" +
          (plan_.health.empty() ? "" : ", and answer GET " + plan_.health + " with 200"));
}

bool Instance::up() const {
  return service_.state() == State::up && sidecar_.state() == State::up;
}

bool Instance::over() const {
  const auto finished = [](State state) { return state == State::ended || state == State::failed; };
  return finished(service_.state()) || finished(sidecar_.state()) || !refusal_.empty();
}

std::string Instance::state() const {
  if (!refusal_.empty() && !stopping_) return "failed";
  // The service cannot be reached without its sidecar.
  const bool sidecar_counts = sidecar_.state() != State::up && !stopping_;
  return std::string(to_string(sidecar_counts ? sidecar_.state() : service_.state()));
}

std::string Instance::detail() const {
  if (!refusal_.empty()) return refusal_;
  if (up() || stopping_) return "";
  if (sidecar_.state() != State::up) {
    const std::string& why = sidecar_.why();
    return "sidecar " + std::string(to_string(sidecar_.state())) + (why.empty() ? "" : ": " + why);
  }
  if (service_.state() == State::starting || service_.state() == State::unhealthy) {
    return service_.health_reason();
  }
  return service_.why();
}

void Instance::kill() {
  stopping_ = true;
  sidecar_.kill();
  service_.kill();
}

}  // namespace tulle::cli
