// SimulatedResolver: host names that a test has given, after a virtual delay.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/net/resolver.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"

namespace tulle {

class SimulatedResolver final : public Resolver {
 public:
  explicit SimulatedResolver(Loop& loop) : loop_(loop) {}

  // From now on; look-ups that are under way as well. Nothing: there is no such host.
  void set(const std::string& host, std::vector<std::string> ips,
           Duration time_to_live = std::chrono::seconds(60)) {
    hosts_[host] = {std::move(ips), time_to_live};
  }
  void set_delay(Duration delay) { delay_ = delay; }
  // Nobody answers.
  void set_silent(bool silent) { silent_ = silent; }
  size_t lookups() const { return lookups_; }

  std::unique_ptr<Lookup> look_up(const std::string& host, uint16_t port, Task& owner) override {
    ++lookups_;
    return std::make_unique<Pending>(*this, host, port, owner);
  }

 private:
  struct Host {
    std::vector<std::string> ips;
    Duration time_to_live{};
  };

  class Pending final : public Lookup, private Task {
   public:
    Pending(SimulatedResolver& resolver, std::string host, uint16_t port, Task& owner)
        : Task(resolver.loop_),
          resolver_(resolver),
          host_(std::move(host)),
          port_(port),
          owner_(owner) {
      timer_.arm(resolver.delay_);
    }
    bool done() const override { return outcome_.has_value(); }
    const Result<ResolvedHost>& outcome() const override { return *outcome_; }

   private:
    void run() override {
      if (done() || !timer_.fired()) return;
      outcome_ = resolver_.answer(host_, port_);
      owner_.wake();
    }

    SimulatedResolver& resolver_;
    const std::string host_;
    const uint16_t port_;
    Task& owner_;
    Timer timer_{*this};
    std::optional<Result<ResolvedHost>> outcome_;
  };

  Result<ResolvedHost> answer(const std::string& host, uint16_t port) const {
    if (silent_) return Error{Code::io_error, Origin::upstream, "nobody answers"};
    const auto found = hosts_.find(host);
    if (found == hosts_.end() || found->second.ips.empty()) {
      return Error{Code::not_found, Origin::upstream, "no such host"};
    }
    ResolvedHost resolved;
    for (const std::string& ip : found->second.ips) {
      resolved.addresses.push_back(*Address::parse(ip, port));
    }
    resolved.time_to_live = found->second.time_to_live;
    return resolved;
  }

  Loop& loop_;
  std::map<std::string, Host> hosts_;
  Duration delay_ = std::chrono::milliseconds(10);
  bool silent_ = false;
  size_t lookups_ = 0;
};

}  // namespace tulle
