// HttpBench: a server and a pool in one simulated loop, connected by memory, with scripts on both
// sides. The smallest whole in which connections, servers and pools can be tried.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "core/http/pool.hpp"
#include "core/http/server.hpp"
#include "core/net/simulated_engine.hpp"
#include "tests/support/pair_network.hpp"
#include "tests/support/talk.hpp"

namespace tulle::testing {

// Permits that a test hands out.
class CountedLimits final : public PoolLimits {
 public:
  size_t max_connections = SIZE_MAX;
  size_t max_pending = SIZE_MAX;
  size_t connections = 0;
  size_t pending = 0;

  bool take_connection() override { return take(connections, max_connections); }
  void give_connection() override { give(connections); }
  bool take_pending() override { return take(pending, max_pending); }
  void give_pending() override { give(pending); }

 private:
  static bool take(size_t& count, size_t max) {
    if (count >= max) return false;
    ++count;
    return true;
  }
  static void give(size_t& count) {
    ASSERT(count > 0);
    --count;
  }
};

class HttpBench {
 public:
  explicit HttpBench(Protocol protocol = Protocol::http1) : protocol_(protocol) {
    pool_options.protocol = protocol;
    pool_options.address = *Address::parse("127.0.0.1", 80);
    service.script.head = response_head(200);
    service.script.body = "hello";
  }
  ~HttpBench() {
    // What clients still hold is let go first or last; both must be right.
    if (clients_first) talks.clear();
    pool.reset();
    destroy_server();
    talks.clear();
    clock.run_until_quiet();
    EXPECT_TRUE(clock.lost_wakes().empty());
    EXPECT_EQ(limits.connections, 0u);
    EXPECT_EQ(limits.pending, 0u);
    network.held.clear();
  }

  void start() {
    server = std::make_unique<Server>(loop, service, server_options);
    pool = std::make_unique<Pool>(loop, network, pool_options, &limits);
    network.server = server.get();
  }
  void destroy_server() {
    network.server = nullptr;
    server.reset();
  }
  Script get(const std::string& path = "/") const {
    Script script;
    script.head.method_text = "GET";
    script.head.scheme = "http";
    script.head.authority = "bench";
    script.head.path = path;
    return script;
  }
  Script post(std::string body) const {
    Script script = get();
    script.head.method = Method::post;
    script.head.method_text = "POST";
    script.body = std::move(body);
    return script;
  }
  // Begins a request; what is heard stays valid as long as the bench.
  Heard& ask(const Script& script) {
    scripts_.push_back(script);
    heard_.emplace_back();
    talks.push_back(std::make_unique<Talk>(loop, *pool, scripts_.back(), heard_.back()));
    return heard_.back();
  }
  Heard& ask_and_settle(const Script& script) {
    Heard& heard = ask(script);
    settle();
    return heard;
  }
  // Everything that can happen without time passing (timers of minutes stay where they are).
  void settle() { clock.run_for(std::chrono::milliseconds(1)); }
  bool multiplexed() const { return protocol_ == Protocol::http2; }

  SimulatedClock clock;
  SimulatedLoop loop{clock};
  ScriptedService service{loop};
  PairNetwork network{loop};
  CountedLimits limits;
  Server::Options server_options;
  Pool::Options pool_options;
  std::unique_ptr<Server> server;
  std::unique_ptr<Pool> pool;
  std::deque<std::unique_ptr<Talk>> talks;
  bool clients_first = true;

 private:
  Protocol protocol_;
  std::deque<Script> scripts_;
  std::deque<Heard> heard_;
};

}  // namespace tulle::testing
