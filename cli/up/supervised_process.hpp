// SupervisedProcess: one program that is to run: started, watched, ended, and due again after a
// back-off when it dies.
//
//   idle -> starting -> up <-> unhealthy
//              |         |        |            (died)
//              +---------+--------+--> waiting -> due -> starting ...   restart: always
//              +---------+--------+--> ended | failed                   restart: never, or it
//   any --stop()--> stopping -> stopped                                 could not be started
//
// It never starts itself: the owner calls start(), because what must come first (a token, another
// program) is the owner's to know. Output goes to the Journal; the last lines are kept.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "cli/up/health_check.hpp"
#include "cli/up/journal.hpp"
#include "core/net/child_process.hpp"

namespace tulle::cli {

struct ProcessSpec {
  std::string name;          // "kitchen-1", "kitchen-1.sidecar", "control-plane"
  ChildOptions child;
  HealthTarget health;
  bool restarts = true;
  Duration stop_grace = 5s;  // between SIGTERM and SIGKILL
};

class SupervisedProcess final : private Task {
 public:
  enum class State : uint8_t {
    idle, starting, up, unhealthy, waiting, due, ended, failed, stopping, stopped
  };
  struct Surroundings {
    Network& network;
    ProcessStarter& starter;
    Journal& journal;
  };
  // `owner` is woken when state() changes.
  SupervisedProcess(Loop& loop, Surroundings surroundings, ProcessSpec spec, Task& owner);
  ~SupervisedProcess() override;  // kills

  void start();   // from idle or due
  void stop();    // asks it to end, and kills it when it does not; nothing is started any more
  void kill();    // now

  const ProcessSpec& spec() const { return spec_; }
  State state() const { return state_; }
  bool runs() const { return child_ != nullptr; }
  int id() const { return child_ != nullptr ? child_->id() : 0; }
  unsigned deaths() const { return deaths_; }
  const std::string& why() const { return why_; }        // of the last death or failure
  std::string health_reason() const;                     // while not up
  const std::deque<std::string>& last_lines() const { return last_lines_; }
  Duration next_start_in() const;                        // while waiting
  static constexpr size_t kLastLines = 12;

 private:
  void run() override;
  Task& task() { return *this; }
  bool take_lines();
  void died(const ChildProcess::Exit& exit);
  void become(State state);
  bool ending() const { return state_ == State::stopping || state_ == State::stopped; }

  Surroundings surroundings_;
  const ProcessSpec spec_;
  Task& owner_;
  State state_ = State::idle;
  std::unique_ptr<ChildProcess> child_;
  std::unique_ptr<HealthCheck> health_;
  Timer timer_;             // back-off, or the grace of stop()
  Timer last_words_;
  Duration backoff_{};
  Instant up_since_ = kNever;
  unsigned deaths_ = 0;
  std::string why_;
  std::deque<std::string> last_lines_;
};

std::string_view to_string(SupervisedProcess::State state);

}  // namespace tulle::cli
