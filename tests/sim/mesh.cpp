#include "tests/sim/mesh.hpp"

#include <algorithm>
#include <functional>

#include "core/base/bytes.hpp"
#include "core/net/loop.hpp"
#include "sidecar/policies/retry/retry.hpp"

namespace tulle::sim {
namespace {

constexpr Duration kGrace = 20s;  // for a draining process, as in a real sidecar's bootstrap

// What a request may take when nothing is in its way. The longest that seeds have shown is 0.9 s.
constexpr Duration kFaultFreeBound = 5s;

// What one request may hold on one hop and in one direction, from the limits: the sender's queue,
// what its connection collects before it stops asking its codec, the wire, the receiver's queue.
size_t bound_of_way(const Plan& plan, bool http2) {
  const HttpLimits limits;
  // Large pieces stay in the block they were decrypted into, which is at least three quarters full.
  const size_t inbound = (http2 ? limits.stream_window_max : limits.stream_inbound) / 3 * 4;
  return limits.stream_outbound + ByteStream::kBacklogMark + 64 * 1024 + plan.wires.capacity +
         inbound;
}

size_t memory_bound(const Plan& plan) {
  const size_t inner = bound_of_way(plan, plan.mesh_is_h2) + bound_of_way(plan, plan.app_is_h2);
  size_t sum = 0;
  for (const RequestPlan& request : plan.requests) {
    const bool http2 = plan.clients[request.client].protocol == Protocol::http2;
    sum += 2 * (bound_of_way(plan, http2) + inner);
    // Each sidecar may keep the body for another attempt.
    if (plan.resilient) sum += 2 * (policies::retry::kReplayBytes + kLargeChunk);
  }
  return sum;
}

// Something at the top of a turn, as the worker's thread would get it.
class Order final : public Message {
 public:
  explicit Order(std::function<void()> what) : what_(std::move(what)) {}
  void deliver() override { what_(); }

 private:
  std::function<void()> what_;
};

size_t index_of(Side side) {
  return static_cast<size_t>(side);
}

// A run begins without what a former one has left in the pool: a loop that is idle looks after
// pooled memory, and those looks take time as well.
size_t chunks_in_fresh_pool() {
  trim_chunk_pool(0);
  return chunk_pool_stats().chunks_in_use;
}

}  // namespace

SimMesh::SimMesh(const Plan& plan)
    : plan_(plan),
      chunks_before_(chunks_in_fresh_pool()),
      clock_(plan.seed),
      network_(clock_),
      loop_(std::make_unique<SimulatedLoop>(clock_)),
      caller_network_(network_.host(*loop_, kCallerIp)),
      application_(std::make_unique<Application>(clock_, *loop_, network_, plan, findings_)) {
  network_.set_link(plan.wires);
  setup_.apps.assign(plan.apps, true);
  for (const Side side : {Side::b, Side::a})
    sidecars_[index_of(side)] = start(side);
  for (const ClientPlan& client : plan.clients) {
    Pool::Options options;
    options.address = listener_of(Side::a);
    options.protocol = client.protocol;
    options.connect_timeout = 5s;
    pools_.push_back(std::make_unique<Pool>(*loop_, *caller_network_, options, nullptr));
  }
  const Duration patience = plan.black_holes ? Duration(90s) : Duration(10min);
  for (const RequestPlan& request : plan.requests) {
    requests_.push_back(std::make_unique<Request>(clock_, *loop_, *pools_[request.client], request,
                                                  patience, findings_));
  }
  for (const FaultPlan& fault : plan.happenings)
    schedule(fault);
}

SimMesh::~SimMesh() = default;

// ---- playing ---------------------------------------------------------------------------------

void SimMesh::schedule(const FaultPlan& fault) {
  clock_.after(fault.at, [this, &fault] {
    if (over_) return;
    clock_.note(to_string(fault.kind), fault.which);
    apply(fault);
  });
}

void SimMesh::apply(const FaultPlan& fault) {
  using Kind = FaultPlan::Kind;
  const Side side = fault.which % 2 == 0 ? Side::a : Side::b;
  const uint32_t app = fault.which % plan_.apps;
  switch (fault.kind) {
    case Kind::reset:
      return cut(fault, Cut::reset);
    case Kind::close:
      return cut(fault, Cut::close);
    case Kind::black_hole:
      return cut(fault, Cut::black_hole);
    case Kind::partition:
      return part(fault, true);
    case Kind::heal:
      return part(fault, false);
    case Kind::app_stops:
      return application_->stop(app);
    case Kind::app_starts:
      return application_->start(app);
    case Kind::app_leaves:
      setup_.apps[app] = false;
      return reconfigure();
    case Kind::app_joins:
      setup_.apps[app] = true;
      return reconfigure();
    case Kind::route_changes:
      setup_.second_route = !setup_.second_route;
      return reconfigure();
    case Kind::new_certificate:
      ++setup_.certificates;
      return reconfigure();
    case Kind::drain:
      return replace(side, 0ms, true);
    case Kind::crash:
      return replace(side, Duration(1ms * (fault.which + 1)), false);
  }
}

// One of the connections that the link has at this moment.
void SimMesh::cut(const FaultPlan& fault, Cut how) {
  std::vector<uint64_t> found;
  for (const SimulatedNetwork::Connection& one : network_.connections()) {
    const Link link = one.server == listener_of(Side::a)   ? Link::client_to_a
                      : one.server == listener_of(Side::b) ? Link::a_to_b
                                                           : Link::b_to_app;
    if (link == fault.link) found.push_back(one.id);
  }
  if (!found.empty()) network_.cut(found[fault.which % found.size()], how);
}

void SimMesh::part(const FaultPlan& fault, bool parted) {
  const std::string a(ip_of(Side::a)), b(ip_of(Side::b));
  const std::string app = Application::address_of(fault.which % plan_.apps).ip();
  const std::string one = fault.link == Link::client_to_a ? std::string(kCallerIp)
                          : fault.link == Link::a_to_b    ? a
                                                          : b;
  const std::string other = fault.link == Link::client_to_a ? a
                            : fault.link == Link::a_to_b    ? b
                                                            : app;
  if (parted) return network_.partition(one, other);
  network_.heal(one, other);
}

void SimMesh::reconfigure() {
  loop_->post(std::make_unique<Order>([this] {
    for (const Side side : {Side::a, Side::b}) {
      Process* process = sidecars_[index_of(side)].get();
      if (process == nullptr) continue;
      process->adopt(compile_setup(side, plan_, setup_, process->snapshot()));
    }
  }));
}

std::unique_ptr<Process> SimMesh::start(Side side) {
  const uint64_t number = ++processes_;
  const std::string name =
      std::string(side == Side::a ? "web-" : "orders-") + std::to_string(number);
  return std::make_unique<Process>(*loop_, network_.host(*loop_, ip_of(side)), name,
                                   plan_.seed + number, compile_setup(side, plan_, setup_, nullptr),
                                   findings_);
}

// A new process takes over. The former one drains beside it, or is simply gone.
void SimMesh::replace(Side side, Duration gap, bool politely) {
  std::unique_ptr<Process>& present = sidecars_[index_of(side)];
  if (present == nullptr) return;  // it is being replaced already
  if (politely) {
    const uint64_t number = ++processes_;
    present->worker().drain();
    former_.push_back({number, std::move(present)});
    clock_.after(kGrace, [this, number] { end_former(number); });
  }
  present.reset();
  if (gap == Duration{}) {
    present = start(side);
    return;
  }
  clock_.after(gap, [this, side] {
    if (!over_) sidecars_[index_of(side)] = start(side);
  });
}

void SimMesh::end_former(uint64_t number) {
  former_.remove_if([&](const Former& former) {
    if (former.number != number) return false;
    findings_.expect(former.process->worker().drained() || plan_.black_holes,
                     [] { return std::string("a sidecar has not drained within its grace"); });
    return true;
  });
}

// ---- judging ---------------------------------------------------------------------------------

template <class Done>
bool SimMesh::drive(Done done, Duration limit) {
  return clock_.run_while_not(
      [&] {
        report_.peak_bytes = std::max(report_.peak_bytes, chunk_pool_stats().bytes_in_use);
        return done();
      },
      limit);
}

Report SimMesh::run() {
  finish_requests();
  finish_exchanges();
  wind_down();
  judge_outcomes();
  tear_down();
  return report();
}

// Nothing in the mesh waits longer than this for anything, unless a peer has silently gone.
void SimMesh::finish_requests() {
  const auto all_ended = [this] {
    return std::all_of(requests_.begin(), requests_.end(),
                       [](const auto& one) { return one->ended(); });
  };
  if (drive(all_ended, plan_.black_holes ? Duration(5min) : Duration(60s))) return;
  for (const std::unique_ptr<Request>& request : requests_) {
    if (!request->ended()) findings_.add("unfinished: " + request->text());
  }
}

// What the callers no longer wait for must end as well: a dropped request upstream, for example.
void SimMesh::finish_exchanges() {
  const auto quiet = [this] {
    return exchanges() == 0 && application_->handlers() == 0 && permits() == 0;
  };
  if (drive(quiet, plan_.black_holes ? Duration(10min) : Duration(30s))) return;
  findings_.add("left over when all requests had ended: " + std::to_string(exchanges()) +
                " exchanges, " + std::to_string(application_->handlers()) +
                " handlers at the application, " + std::to_string(permits()) + " request permits");
}

void SimMesh::wind_down() {
  over_ = true;
  network_.heal_all();
  for (std::unique_ptr<Pool>& pool : pools_)
    pool->retire();
  for (std::unique_ptr<Process>& process : sidecars_) {
    if (process != nullptr) process->wind_down();
  }
  for (Former& former : former_)
    former.process->wind_down();
  if (drive([this] { return all_settled(); }, plan_.black_holes ? Duration(10min) : Duration(60s)))
    return;
  for (const std::unique_ptr<Pool>& pool : pools_) {
    findings_.expect(pool->idle(),
                     [] { return std::string("a caller's pool does not become idle"); });
  }
  findings_.add("a sidecar does not become quiet");
}

bool SimMesh::all_settled() {
  const bool pools =
      std::all_of(pools_.begin(), pools_.end(), [](const auto& pool) { return pool->idle(); });
  const bool present = std::all_of(sidecars_.begin(), sidecars_.end(), [](const auto& process) {
    return process == nullptr || process->settled();
  });
  return pools && present && std::all_of(former_.begin(), former_.end(), [](const Former& former) {
           return former.process->settled();
         });
}

size_t SimMesh::exchanges() const {
  size_t sum = 0;
  for (const auto& process : sidecars_)
    sum += process ? process->worker().exchanges() : 0;
  for (const Former& former : former_)
    sum += former.process->worker().exchanges();
  return sum;
}

uint32_t SimMesh::permits() const {
  uint32_t sum = 0;
  for (const auto& process : sidecars_)
    sum += process ? process->requests_permitted() : 0;
  for (const Former& former : former_)
    sum += former.process->requests_permitted();
  return sum;
}

void SimMesh::judge_outcomes() {
  for (const std::unique_ptr<Request>& request : requests_) {
    const Outcome& outcome = request->outcome();
    ++report_.outcomes[static_cast<size_t>(outcome.kind)];
    if (outcome.kind == Outcome::Kind::complete) {
      report_.slowest = std::max(report_.slowest, Duration(outcome.ended - outcome.began));
    }
    judge_outcome(*request);
  }
}

void SimMesh::judge_outcome(const Request& request) {
  const Outcome::Kind kind = request.outcome().kind;
  using Kind = Outcome::Kind;
  if (kind == Kind::complete && !application_->executed(request.plan().id)) {
    findings_.add("answered, but never executed: " + request.text());
  }
  if (kind == Kind::gave_up && !plan_.black_holes) findings_.add("in vain: " + request.text());
  if (plan_.faults) return;
  const Duration took = request.outcome().ended - request.outcome().began;
  if (took > kFaultFreeBound) findings_.add("too slow: " + request.text());
  if (kind == Kind::complete || kind == Kind::dropped) return;
  const bool planned = request.plan().behaviour == Behaviour::broken;
  if (!planned) findings_.add("nothing was in its way: " + request.text());
}

// Now nothing may be left: no event and no timer that leads anywhere, no chunk, no cell.
void SimMesh::tear_down() {
  requests_.clear();
  pools_.clear();
  former_.clear();
  for (std::unique_ptr<Process>& process : sidecars_)
    process.reset();
  application_.reset();
  findings_.expect(report_.peak_bytes <= memory_bound(plan_), [&] {
    return "held " + std::to_string(report_.peak_bytes) + " bytes, more than " +
           std::to_string(memory_bound(plan_));
  });
  findings_.expect(clock_.run_until_quiet(10min),
                   [] { return std::string("it never becomes quiet"); });
  findings_.expect(loop_->cells() == 0,
                   [&] { return std::to_string(loop_->cells()) + " cells are left"; });
  const size_t chunks = chunk_pool_stats().chunks_in_use;
  findings_.expect(chunks == chunks_before_,
                   [&] { return std::to_string(chunks - chunks_before_) + " chunks are left"; });
  for (const std::string& missed : clock_.lost_wakes())
    findings_.add("lost wake at " + missed);
}

Report SimMesh::report() {
  report_.findings = findings_.text();
  report_.trace_hash = clock_.trace_hash();
  report_.steps = clock_.steps();
  report_.virtual_time = clock_.now() - Instant{};
  return report_;
}

}  // namespace tulle::sim
