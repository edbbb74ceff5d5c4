// A mesh without an operating system: processes that are played, on virtual time, with listeners on
// a simulated network and an API that answers by rule. For the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>

#include "cli/up/journal.hpp"
#include "cli/up/supervised_process.hpp"
#include "core/http/reply.hpp"
#include "core/http/server.hpp"
#include "core/net/simulated_network.hpp"

namespace tulle::cli::testing {

// Answers every request; remembers them as "PUT /path".
class FakeApi final : public Service {
 public:
  explicit FakeApi(Loop& loop) : loop_(loop) {}
  std::unique_ptr<Task> serve(StreamRef stream) override {
    const Head& head = *stream->head();
    const std::string request = head.method_text + " " + head.path;
    requests.push_back(request);
    const auto rule = answers.find(request);
    const auto& [status, body] = rule != answers.end() ? rule->second : otherwise;
    return serve_text(loop_, std::move(stream), status, "application/json", body);
  }
  std::vector<std::string> requests;
  std::map<std::string, std::pair<int, std::string>> answers;
  std::pair<int, std::string> otherwise{200, "{}"};

 private:
  Loop& loop_;
};

class FakeStarter;

class FakeChild final : public ChildProcess {
 public:
  FakeChild(FakeStarter& starter, std::string name, int id, Task& owner)
      : starter_(starter), name_(std::move(name)), id_(id), owner_(owner) {}
  ~FakeChild() override;
  int id() const override { return id_; }
  std::optional<Line> take_line() override {
    if (lines_.empty()) return std::nullopt;
    Line line = std::move(lines_.front());
    lines_.pop_front();
    return line;
  }
  const std::optional<Exit>& exit() const override { return exit_; }
  bool output_ended() const override { return exit_.has_value(); }
  void signal(int number) override;

  void say(const std::string& text) {
    lines_.push_back({false, text});
    owner_.wake();
  }
  void end(int status, int signal = 0) {
    exit_ = Exit{status, signal};
    server.reset();
    owner_.wake();
  }
  std::unique_ptr<Server> server;  // what it listens with

 private:
  FakeStarter& starter_;
  const std::string name_;
  const int id_;
  Task& owner_;
  std::deque<Line> lines_;
  std::optional<Exit> exit_;
};

// Starts played processes: by the last element of the command, which is their name.
class FakeStarter final : public ProcessStarter {
 public:
  Result<std::unique_ptr<ChildProcess>> start(ChildOptions options, Task& owner) override {
    const std::string name = options.command.back();
    started.push_back(name);
    if (missing.contains(name)) {
      return Error{Code::not_found, Origin::local, name + ": no such program in PATH"};
    }
    auto child = std::make_unique<FakeChild>(*this, name, next_id++, owner);
    running[name] = child.get();
    if (on_start) on_start(name, *child);
    return std::unique_ptr<ChildProcess>(std::move(child));
  }
  std::function<void(const std::string&, FakeChild&)> on_start;
  std::vector<std::string> started;
  std::vector<std::string> signals;          // "kitchen-1 15"
  std::map<std::string, FakeChild*> running;
  std::set<std::string> missing;
  std::set<std::string> stubborn;            // do not heed SIGTERM
  int next_id = 100;
};

inline FakeChild::~FakeChild() {
  const auto found = starter_.running.find(name_);
  if (found != starter_.running.end() && found->second == this) starter_.running.erase(found);
}

inline void FakeChild::signal(int number) {
  if (exit_) return;
  starter_.signals.push_back(name_ + " " + std::to_string(number));
  if (number == 9 || !starter_.stubborn.contains(name_)) end(0, number);
}

class FakeJournal final : public Journal {
 public:
  void line(std::string_view process, bool, std::string_view text) override {
    lines.push_back(std::string(process) + ": " + std::string(text));
  }
  void event(std::string_view process, Weight, std::string_view text) override {
    events.push_back(std::string(process) + ": " + std::string(text));
  }
  std::vector<std::string> lines, events;
};

class Woken final : public Task {
 public:
  using Task::Task;

 private:
  void run() override {}
};

struct FakeMesh : ::testing::Test {
  SimulatedClock clock;
  SimulatedLoop loop{clock};
  SimulatedNetwork wires{clock};
  std::unique_ptr<Network> network = wires.host(loop, "127.0.0.1");
  FakeApi api{loop};
  FakeStarter starter;
  FakeJournal journal;
  Woken owner{loop};

  std::unique_ptr<Server> listen(uint16_t port) {
    auto server = std::make_unique<Server>(loop, api, Server::Options{});
    const Address at = Address::parse("127.0.0.1", port).value();
    EXPECT_TRUE(server->listen(*network, at, {}).has_value());
    return server;
  }
  SupervisedProcess::Surroundings surroundings() { return {*network, starter, journal}; }
  bool reach(const std::function<bool()>& condition, Duration limit = 60s) {
    return clock.run_while_not(condition, limit) || condition();
  }
};

}  // namespace tulle::cli::testing
