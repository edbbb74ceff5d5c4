#include "tests/sim/plan.hpp"

#include <algorithm>
#include <array>

#include "core/base/rng.hpp"

namespace tulle::sim {
namespace {

// Every fourth seed is free of faults: there, nothing but success is right.
constexpr uint64_t kFaultFreeEvery = 4;
constexpr Duration kTraffic = 2s;  // requests begin within this time

Duration below(Rng& rng, Duration bound) {
  return Duration(static_cast<int64_t>(rng.below(static_cast<uint64_t>(bound.count()) + 1)));
}

// Around the bounds of frames, records, windows and queues, where mistakes live.
size_t edge_size(Rng& rng) {
  constexpr std::array<size_t, 7> kEdges{1,         2048,          9 * 1024, 16 * 1024,
                                         17 * 1024, 64 * 1024 - 1, 64 * 1024};
  return kEdges[rng.below(kEdges.size())] + rng.below(3);
}

size_t body_size(Rng& rng, size_t most) {
  const double kind = rng.unit();
  size_t size = 0;
  if (kind < 0.25) {
    size = 0;
  } else if (kind < 0.7) {
    size = rng.below(3000);
  } else if (kind < 0.93) {
    size = edge_size(rng);
  } else {
    size = rng.below(300 * 1024);
  }
  return std::min(size, most);
}

// Every read of a wire costs an event: what comes byte by byte is small.
bool is_fine(const LinkOptions& wires) {
  return wires.slicing == LinkOptions::Slicing::bytes;
}
size_t largest_body(const LinkOptions& wires) {
  return is_fine(wires) ? 1200 : 300 * 1024;
}

Behaviour behaviour_of(Rng& rng) {
  const double kind = rng.unit();
  if (kind < 0.4) return Behaviour::reply;
  if (kind < 0.7) return Behaviour::echo;
  if (kind < 0.8) return Behaviour::early;
  if (kind < 0.93) return Behaviour::slow;
  return Behaviour::broken;
}

RequestPlan make_request(Rng& rng, const Plan& plan, uint32_t id) {
  RequestPlan request;
  request.id = id;
  request.client = static_cast<uint32_t>(rng.below(plan.clients.size()));
  // Half of them come in bursts, so that limits, queues and shared connections are met.
  request.starts = rng.chance(0.5) ? Duration(200ms * rng.below(10)) : below(rng, kTraffic);
  request.behaviour = behaviour_of(rng);
  request.request_size = body_size(rng, largest_body(plan.wires));
  request.answer_size = body_size(rng, largest_body(plan.wires));
  if (request.behaviour == Behaviour::echo) request.answer_size = request.request_size;
  request.request_chunked = rng.chance(0.4);
  request.answer_chunked = rng.chance(0.5);
  request.request_trailers = request.request_chunked && rng.chance(0.4);
  request.answer_trailers = request.answer_chunked && rng.chance(0.5);
  request.expects_continue = request.request_size > 0 && rng.chance(0.1);
  if (rng.chance(0.2)) request.reads_at_once = 1 + rng.below(32 * 1024);
  if (request.behaviour == Behaviour::slow) request.app_delay = below(rng, 50ms) + 1ms;
  if (request.answer_size > 0 && rng.chance(0.7)) {
    request.breaks_after = rng.below(request.answer_size);
  }
  if (rng.chance(0.08)) request.drops_in = below(rng, 100ms) + 1us;
  return request;
}

FaultPlan::Kind fault_kind(Rng& rng, bool black_holes) {
  using Kind = FaultPlan::Kind;
  constexpr std::array kKinds{Kind::reset,         Kind::reset,           Kind::close,
                              Kind::partition,     Kind::app_stops,       Kind::app_leaves,
                              Kind::route_changes, Kind::new_certificate, Kind::drain,
                              Kind::crash};
  if (black_holes && rng.chance(0.3)) return Kind::black_hole;
  return kKinds[rng.below(kKinds.size())];
}

// What has an end gets it a little later.
void add_fault(Rng& rng, Plan& plan) {
  using Kind = FaultPlan::Kind;
  FaultPlan fault;
  fault.kind = fault_kind(rng, plan.black_holes);
  fault.at = below(rng, kTraffic);
  fault.link = static_cast<Link>(rng.below(kLinks));
  fault.which = static_cast<uint32_t>(rng.below(64));
  plan.happenings.push_back(fault);
  switch (fault.kind) {
    case Kind::app_stops:
      fault.kind = Kind::app_starts;
      break;
    case Kind::app_leaves:
      fault.kind = Kind::app_joins;
      break;
    case Kind::partition:
      fault.kind = Kind::heal;
      break;
    default:
      return;
  }
  fault.at += below(rng, 500ms) + 1ms;
  plan.happenings.push_back(fault);
}

void choose_wires(Rng& rng, LinkOptions& wires) {
  constexpr std::array<size_t, 4> kCapacities{4 * 1024, 16 * 1024, 64 * 1024, 256 * 1024};
  wires.latency = rng.chance(0.3) ? Duration(0) : below(rng, 5ms);
  wires.jitter = rng.chance(0.3) ? Duration(0) : below(rng, 5ms);
  wires.capacity = kCapacities[rng.below(kCapacities.size())];
  const double kind = rng.unit();
  wires.slicing = kind < 0.05  ? LinkOptions::Slicing::bytes
                  : kind < 0.6 ? LinkOptions::Slicing::seeded
                               : LinkOptions::Slicing::whole;
}

}  // namespace

Plan make_plan(uint64_t seed) {
  Rng rng(seed ^ 0x51b7);  // not the clock's: what the wires draw must not move with the plan
  Plan plan;
  plan.seed = seed;
  plan.faults = seed % kFaultFreeEvery != 0;
  plan.mesh_is_h2 = rng.chance(0.7);
  plan.app_is_h2 = rng.chance(0.3);
  plan.round_robin = rng.chance(0.3);
  plan.apps = 2 + static_cast<uint32_t>(rng.below(2));
  plan.resilient = seed % 3 != 0;  // not drawn: seeds without it stay what they were
  choose_wires(rng, plan.wires);
  const uint64_t clients = 1 + rng.below(3);
  for (uint64_t i = 0; i < clients; ++i) {
    plan.clients.push_back({rng.chance(0.5) ? Protocol::http1 : Protocol::http2});
  }
  const uint64_t count = is_fine(plan.wires) ? 8 : 20 + rng.below(rng.chance(0.15) ? 81 : 21);
  for (uint32_t id = 0; id < count; ++id)
    plan.requests.push_back(make_request(rng, plan, id));
  if (!plan.faults) return plan;
  plan.black_holes = rng.chance(0.25);
  const uint64_t faults = 1 + rng.below(8);
  for (uint64_t i = 0; i < faults; ++i)
    add_fault(rng, plan);
  std::stable_sort(plan.happenings.begin(), plan.happenings.end(),
                   [](const FaultPlan& a, const FaultPlan& b) { return a.at < b.at; });
  return plan;
}

std::string_view to_string(FaultPlan::Kind kind) {
  constexpr std::array<std::string_view, 13> kNames{
      "reset",           "close",      "black_hole", "partition", "heal",
      "app_stops",       "app_starts", "app_leaves", "app_joins", "route_changes",
      "new_certificate", "drain",      "crash"};
  return kNames[static_cast<size_t>(kind)];
}

std::string Plan::text() const {
  std::string out = "seed " + std::to_string(seed) + ": " + std::to_string(requests.size()) +
                    " requests, clients";
  for (const ClientPlan& client : clients) {
    out += client.protocol == Protocol::http2 ? " h2" : " h1";
  }
  out += std::string(", mesh ") + (mesh_is_h2 ? "h2" : "h1") + ", " + std::to_string(apps) +
         " apps " + (app_is_h2 ? "h2" : "h1") + ", latency " +
         std::to_string(wires.latency.count() / 1000) + " us, jitter " +
         std::to_string(wires.jitter.count() / 1000) + " us, capacity " +
         std::to_string(wires.capacity);
  if (is_fine(wires)) out += ", byte by byte";
  if (resilient) out += ", retries";
  for (const FaultPlan& fault : happenings) {
    out += "; " + std::string(to_string(fault.kind)) + " at " +
           std::to_string(fault.at.count() / 1'000'000) + " ms";
  }
  return out;
}

}  // namespace tulle::sim
