// PushBench: a hub behind a real server with mutual TLS, a store in memory and sidecars that follow
// what they are sent, in one simulated loop.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "control-plane/push/grpc_methods.hpp"
#include "control-plane/push/hub.hpp"
#include "core/http/grpc_stream.hpp"
#include "core/http/pool.hpp"
#include "core/http/server.hpp"
#include "core/net/simulated_engine.hpp"
#include "tests/support/pair_network.hpp"
#include "xds/client_session.hpp"

namespace tulle::push::testing {

class PushBench;

// The discovery half of a sidecar: accepts everything (or refuses what it is told to) and asks for
// whatever that refers to.
class TestSidecar final : private Task {
 public:
  struct Options {
    std::string id = "orders-1";
    std::string identity = "spiffe://mesh.local/ns/default/sa/orders";
    std::string metadata;                 // JSON; empty: metadata_of("default", "orders", 9001)
    std::set<std::string> destinations;
  };
  TestSidecar(PushBench& bench, Options options);
  ~TestSidecar() override;

  void connect();
  void want(std::set<std::string> destinations);
  void leave();                           // the orderly end of the stream
  void break_off();                       // the connection is gone
  void pause(bool paused);                // reads nothing
  bool connected() const { return call_.has_value() && !call_->ended(); }

  const xds::ResourceSet& resources() const { return session.resources(); }
  bool has(xds::ResourceType type, const std::string& name) const {
    return resources().find(type, name) != nullptr;
  }
  std::string endpoints(const std::string& cluster) const;  // see build/build_fixture_test.hpp

  xds::ClientSession session;
  std::optional<GrpcStatus> end;          // how the last stream ended
  std::set<xds::ResourceKey> refuses;
  size_t responses = 0;
  size_t bytes = 0;
  bool follows = true;                    // asks for what resources refer to

 private:
  void run() override;
  void take_responses();
  void decide();
  void subscribe();

  PushBench& bench_;
  const Options options_;
  std::set<std::string> destinations_;
  std::unique_ptr<Pool> pool_;
  std::optional<Ticket> ticket_;
  std::optional<GrpcStream> call_;
  bool paused_ = false;
};

std::string metadata_of(const std::string& namespace_name, const std::string& service,
                        uint16_t inbound, const std::string& labels = "{}");

class PushBench {
 public:
  explicit PushBench(Hub::Options options = {}, bool tls = true);
  ~PushBench();

  // Documents in YAML; returns when they are stored.
  void apply(const std::string& yaml);
  void remove(model::Kind kind, const std::string& name, const std::string& namespace_name = "default");
  void restart();                         // another hub on the same store
  TestSidecar& sidecar(TestSidecar::Options options);
  // Until nothing more happens without time passing.
  void settle() { clock.run_for(1ms); }
  // Steps until it holds; false: not within two virtual seconds.
  template <class Condition>
  bool until(Condition condition) {
    return clock.run_while_not(condition, 2s);
  }
  bool has_workload(const std::string& name) const {
    return store->view().find(model::Kind::workload, "default", name) != nullptr;
  }
  std::shared_ptr<const TlsContext> tls_of(const std::string& identity);

  SimulatedClock clock;
  SimulatedLoop loop{clock};
  StatRegistry stats;
  std::unique_ptr<store::Store> store;
  Hub::Options options;
  std::unique_ptr<Hub> hub;
  std::unique_ptr<GrpcMethods> methods;
  tulle::testing::PairNetwork network{loop};
  std::unique_ptr<Server> server;
  std::vector<std::unique_ptr<TestSidecar>> sidecars;

 private:
  void start();
  void stop();
  const bool tls_;
  std::map<std::string, std::shared_ptr<const TlsContext>> contexts_;
};

}  // namespace tulle::push::testing
