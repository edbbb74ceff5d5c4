// Request: one request of a workload in front of sidecar A, from its start to its one end.
//
// It judges every byte of the answer as it comes; what a complete answer must be is in the plan.
// It has no retries, and drops or gives up when the plan says so.
#pragma once

#include <optional>
#include <string>

#include "core/http/pool.hpp"
#include "core/net/simulated_engine.hpp"
#include "core/net/timer.hpp"
#include "tests/sim/body.hpp"
#include "tests/sim/findings.hpp"
#include "tests/sim/plan.hpp"

namespace tulle::sim {

struct Outcome {
  enum class Kind : uint8_t {
    pending,
    complete,     // the application's answer, whole and right
    mesh_answer,  // an answer of the mesh itself, with tulle-error
    failed,       // no connection, or a stream that broke: the caller knows that it has nothing
    dropped,      // the caller lost interest, as planned
    gave_up,      // the caller waited in vain
  };
  Kind kind = Kind::pending;
  Instant began{};
  Instant ended{};
  std::string detail;  // mesh_answer: its code
};
std::string_view to_string(Outcome::Kind kind);

class Request final : private Task, private Sleeper {
 public:
  // Begins at its planned time, by itself. `pool` must outlive it.
  Request(SimulatedClock& clock, Loop& loop, Pool& pool, const RequestPlan& plan, Duration patience,
          Findings& findings);

  const RequestPlan& plan() const { return plan_; }
  const Outcome& outcome() const { return outcome_; }
  bool ended() const { return outcome_.kind != Outcome::Kind::pending; }
  std::string text() const;  // how far it has come, for people

 private:
  void run() override;
  std::string could_progress() const override;

  Task& task() { return *this; }
  bool look_at_timers();
  void begin();
  void take_outcome();
  void send_head();
  void exchange();
  void send_body();
  void receive();
  void judge_answer();
  void judge_trailers();
  void end(Outcome::Kind kind, std::string detail = {});
  bool may_send_body() const;
  void wrong(const std::string& what);

  SimulatedClock& clock_;
  Pool& pool_;
  const RequestPlan& plan_;
  const Duration patience_;
  Findings& findings_;
  std::optional<Ticket> ticket_;
  StreamRef stream_;
  BodyCheck answer_;
  Outcome outcome_;
  Timer start_;     // until it begins
  Timer rest_;      // between two looks at the answer
  Timer interest_;  // until it is dropped, or given up
  size_t sent_ = 0;
  bool continued_ = false;  // 100 has come
};

}  // namespace tulle::sim
