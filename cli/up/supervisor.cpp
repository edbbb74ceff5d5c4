#include "cli/up/supervisor.hpp"

#include <algorithm>

namespace tulle::cli {
namespace {

using State = SupervisedProcess::State;

constexpr Duration kControlPlaneWithin = 30s;  // makes keys and a database at its first start
constexpr Duration kLookEvery = 20ms;

ProcessSpec control_plane_spec(const ControlPlanePlan& plan) {
  return {"control-plane", plan.child,
          {Address::parse("127.0.0.1", plan.api_port).value(), ""}, true, 5s};
}

bool ended(const SupervisedProcess& process) { return !process.runs(); }

}  // namespace

Supervisor::Supervisor(Loop& loop, SupervisedProcess::Surroundings surroundings, const Plan& plan,
                       RunDirectory run, std::vector<ApiStep> policies, Task& owner,
                       std::vector<Network*> networks)
    : Task(loop),
      surroundings_(surroundings),
      plan_(plan),
      run_(std::move(run)),
      networks_(std::move(networks)),
      policies_(std::move(policies)),
      owner_(owner),
      control_plane_(loop, surroundings, control_plane_spec(plan.control_plane), *this),
      limit_(*this),
      look_(*this) {
  limit_.arm(kControlPlaneWithin);
  control_plane_.start();
}

Supervisor::~Supervisor() = default;

void Supervisor::run() {
  switch (phase_) {
    case Phase::control_plane: await_control_plane(); break;
    case Phase::documents: await_documents(); break;
    case Phase::instances:
    case Phase::up:
      watch_control_plane();
      if (settled()) phase_ = Phase::up;
      break;
    case Phase::stopping: advance_stop(); break;
    case Phase::over: break;
  }
  owner_.wake();
}

void Supervisor::fail(std::string why) {
  if (failure_.empty()) failure_ = std::move(why);
  stop();
}

void Supervisor::await_control_plane() {
  const State state = control_plane_.state();
  if (state == State::failed) return fail("the control plane cannot be started: " + control_plane_.why());
  if (state == State::waiting || state == State::due) {
    std::string why = "the control plane ended with " + control_plane_.why();
    for (const std::string& line : control_plane_.last_lines()) why += "\n  | " + line;
    return fail(std::move(why));
  }
  if (limit_.fired()) {
    return fail("the control plane was not up within 30 s: " + control_plane_.health_reason());
  }
  if (state == State::up) {
    // Its files come last, whole, by rename.
    if (Result<ApiAccess> access = access_of_run(run_)) {
      client_ = std::make_unique<ApiClient>(loop_, surroundings_.network, std::move(*access));
      return put_documents();
    }
  }
  if (!look_.armed() || look_.fired()) look_.arm(kLookEvery);
}

void Supervisor::put_documents() {
  look_.disarm();
  limit_.disarm();
  phase_ = Phase::documents;
  std::vector<ApiStep> steps;
  for (const ServiceDocument& service : plan_.services) {
    steps.push_back({"Service " + service.name,
                     {Method::put, document_path("services", "default", service.name), service.json}});
  }
  std::ranges::move(policies_, std::back_inserter(steps));
  sequence_ = std::make_unique<ApiSequence>(loop_, *client_, std::move(steps), task());
}

void Supervisor::await_documents() {
  if (!sequence_->done()) return;
  const std::optional<std::string> refused = sequence_->failure();
  sequence_.reset();
  if (refused) return fail(*refused);
  phase_ = Phase::instances;
  for (size_t i = 0; i < plan_.instances.size(); ++i) {
    Network& network = networks_.empty() ? surroundings_.network : *networks_[i];
    instances_.push_back(std::make_unique<Instance>(
        loop_, SupervisedProcess::Surroundings{network, surroundings_.starter, surroundings_.journal},
        *client_, plan_.instances[i], task()));
  }
}

void Supervisor::watch_control_plane() {
  const State state = control_plane_.state();
  if (state == State::due) control_plane_.start();
  if (state == std::exchange(told_, state)) return;
  Journal& journal = surroundings_.journal;
  if (state == State::waiting) {
    std::string text = "died: " + control_plane_.why() +
                       "; the sidecars go on with what they know; it starts again";
    for (const std::string& line : control_plane_.last_lines()) text += "\n  | " + line;
    journal.event("control-plane", Journal::Weight::error, text);
  } else if (state == State::up && control_plane_.deaths() > 0) {
    journal.event("control-plane", Journal::Weight::good, "up again");
  } else if (state == State::failed) {
    journal.event("control-plane", Journal::Weight::error, control_plane_.why());
  }
}

void Supervisor::stop() {
  if (phase_ == Phase::over) return;
  if (phase_ == Phase::stopping) {
    for (const auto& instance : instances_) instance->kill();
    control_plane_.kill();
    return wake();
  }
  phase_ = Phase::stopping;
  sequence_.reset();
  limit_.disarm();
  look_.disarm();
  stop_step_ = StopStep::sidecars;
  for (const auto& instance : instances_) instance->stop_sidecar();
  wake();
}

// Sidecars first: they say that nobody new is to come, and let what runs finish, for which the
// services must still be there.
void Supervisor::advance_stop() {
  const auto sidecar_ended = [](const auto& instance) { return ended(instance->sidecar()); };
  const auto service_ended = [](const auto& instance) { return ended(instance->service()); };
  if (stop_step_ == StopStep::sidecars && std::ranges::all_of(instances_, sidecar_ended)) {
    stop_step_ = StopStep::services;
    for (const auto& instance : instances_) instance->stop_service();
  }
  if (stop_step_ == StopStep::services && std::ranges::all_of(instances_, service_ended)) {
    stop_step_ = StopStep::control_plane;
    control_plane_.stop();
  }
  if (stop_step_ == StopStep::control_plane && ended(control_plane_)) phase_ = Phase::over;
}

bool Supervisor::settled() const {
  return std::ranges::all_of(instances_, [](const auto& instance) { return instance->settled(); });
}

bool Supervisor::all_up() const {
  return (phase_ == Phase::instances || phase_ == Phase::up) &&
         std::ranges::all_of(instances_, [](const auto& instance) { return instance->up(); });
}

RunRecord Supervisor::record() const {
  RunRecord record;
  record.phase = to_string(phase_);
  record.trust_domain = plan_.trust_domain;
  record.control_plane_pid = control_plane_.id();
  record.control_plane_state = to_string(control_plane_.state());
  record.api = "https://127.0.0.1:" + std::to_string(plan_.control_plane.api_port);
  record.xds = plan_.control_plane.address + ":" + std::to_string(plan_.control_plane.xds_port);
  record.network_namespace = plan_.control_plane.network_namespace;
  for (const InstancePlan& plan : plan_.instances) {
    InstanceRecord one{plan.name, plan.group, plan.service, "waiting"};
    one.address = plan.address;
    one.network_namespace = plan.network_namespace;
    one.user = plan.user;
    one.port = plan.port;
    one.inbound_port = plan.inbound_port;
    one.outbound_port = plan.outbound_port;
    one.admin_port = plan.admin_port;
    one.health = plan.health;
    record.instances.push_back(std::move(one));
  }
  for (size_t i = 0; i < instances_.size(); ++i) {
    InstanceRecord& one = record.instances[i];
    one.state = instances_[i]->state();
    one.detail = instances_[i]->detail();
    one.pid = instances_[i]->service().id();
    one.sidecar_pid = instances_[i]->sidecar().id();
    one.restarts = instances_[i]->service().deaths();
  }
  return record;
}

std::string_view to_string(Supervisor::Phase phase) {
  switch (phase) {
    case Supervisor::Phase::control_plane:
    case Supervisor::Phase::documents:
    case Supervisor::Phase::instances: return "starting";
    case Supervisor::Phase::up: return "up";
    case Supervisor::Phase::stopping: return "stopping";
    case Supervisor::Phase::over: break;
  }
  return "over";
}

}  // namespace tulle::cli
