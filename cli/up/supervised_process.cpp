#include "cli/up/supervised_process.hpp"

#include <signal.h>

#include <algorithm>

#include "core/net/loop.hpp"

namespace tulle::cli {
namespace {

constexpr Duration kFirstBackoff = 500ms;
constexpr Duration kLongestBackoff = 30s;
// Having been up for so long, a death is a new story and not the last one again.
constexpr Duration kForgetAfter = 30s;
// What a process wrote last may still be in its pipe when it has ended.
constexpr Duration kLastWordsWithin = 200ms;
constexpr int kLinesPerRun = 200;  // of one process, before the others get their share

}  // namespace

SupervisedProcess::SupervisedProcess(Loop& loop, Surroundings surroundings, ProcessSpec spec,
                                     Task& owner)
    : Task(loop),
      surroundings_(surroundings),
      spec_(std::move(spec)),
      owner_(owner),
      timer_(*this),
      last_words_(*this) {}

SupervisedProcess::~SupervisedProcess() = default;

void SupervisedProcess::start() {
  ASSERT(state_ == State::idle || state_ == State::due);
  timer_.disarm();
  last_lines_.clear();
  Result<std::unique_ptr<ChildProcess>> started =
      surroundings_.starter.start(spec_.child, *this);
  if (!started) {
    // What does not exist will not come to exist by trying again.
    why_ = started.error().detail;
    return become(State::failed);
  }
  child_ = std::move(*started);
  health_ = std::make_unique<HealthCheck>(loop_, surroundings_.network, spec_.health, task());
  become(State::starting);
}

void SupervisedProcess::stop() {
  if (ending()) return;
  if (child_ == nullptr) return become(State::stopped);
  health_.reset();
  child_->signal(SIGTERM);
  timer_.arm(spec_.stop_grace);
  become(State::stopping);
}

void SupervisedProcess::kill() {
  if (child_ != nullptr) child_->signal(SIGKILL);
  if (!ending()) stop();
}

void SupervisedProcess::run() {
  if (child_ != nullptr && !take_lines()) return defer();
  if (child_ != nullptr && child_->exit()) {
    if (!child_->output_ended() && !last_words_.fired()) {
      if (!last_words_.armed()) last_words_.arm(kLastWordsWithin);
      return;
    }
    return died(*child_->exit());
  }
  if (timer_.fired()) {
    timer_.disarm();
    if (state_ == State::waiting) return become(State::due);
    if (state_ == State::stopping && child_ != nullptr) child_->signal(SIGKILL);
  }
  if (health_ == nullptr) return;
  if (health_->passing() && state_ != State::up) {
    up_since_ = loop_.now();
    become(State::up);
  } else if (!health_->passing() && state_ == State::up) {
    become(State::unhealthy);
  }
}

// False: there are more, for the next turn.
bool SupervisedProcess::take_lines() {
  for (int taken = 0; taken < kLinesPerRun; ++taken) {
    std::optional<ChildProcess::Line> line = child_->take_line();
    if (!line) return true;
    surroundings_.journal.line(spec_.name, line->is_error, line->text);
    last_lines_.push_back(std::move(line->text));
    if (last_lines_.size() > kLastLines) last_lines_.pop_front();
  }
  return false;
}

void SupervisedProcess::died(const ChildProcess::Exit& exit) {
  const bool was_asked = state_ == State::stopping;
  const bool clean = exit.clean();
  if (!was_asked) {
    why_ = to_string(exit);
    ++deaths_;
  }
  child_.reset();
  health_.reset();
  last_words_.disarm();
  timer_.disarm();
  if (was_asked) return become(State::stopped);
  if (!spec_.restarts) return become(clean ? State::ended : State::failed);
  const bool was_long_up = up_since_ != kNever && loop_.now() - up_since_ >= kForgetAfter;
  backoff_ = backoff_ == Duration{} || was_long_up ? kFirstBackoff
                                                   : std::min(backoff_ * 2, kLongestBackoff);
  up_since_ = kNever;
  timer_.arm(backoff_);
  become(State::waiting);
}

void SupervisedProcess::become(State state) {
  state_ = state;
  owner_.wake();
}

std::string SupervisedProcess::health_reason() const {
  return health_ != nullptr ? health_->reason() : "";
}

Duration SupervisedProcess::next_start_in() const {
  return timer_.armed() ? timer_.deadline() - loop_.now() : Duration{};
}

std::string_view to_string(SupervisedProcess::State state) {
  using State = SupervisedProcess::State;
  switch (state) {
    case State::idle: return "waiting";
    case State::starting: return "starting";
    case State::up: return "up";
    case State::unhealthy: return "unhealthy";
    case State::waiting:
    case State::due: return "restarting";
    case State::ended: return "ended";
    case State::failed: return "failed";
    case State::stopping: return "stopping";
    case State::stopped: break;
  }
  return "stopped";
}

}  // namespace tulle::cli
