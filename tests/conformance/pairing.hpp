// Pairing: client, sidecar and origin, with a protocol and a kind of wire chosen for each hop.
//
// Owns all three. The sidecar is a real Worker with one listener, one route and one cluster; client
// and origin follow scripts. The wires are real loopback sockets, or the simulated network with
// seeded slices and delays. close() ends everything and looks whether all was given back.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "core/http/pool.hpp"
#include "core/http/server.hpp"
#include "core/net/network.hpp"
#include "sidecar/worker.hpp"
#include "tests/support/talk.hpp"

namespace tulle::conformance {

// Where the three live: a loop, a network for each of them, and the passing of time.
class World {
 public:
  virtual ~World() = default;
  virtual Loop& loop() = 0;
  virtual Network& client() = 0;
  virtual Network& sidecar() = 0;
  virtual Network& origin() = 0;
  virtual Address sidecar_address() const = 0;  // port 0: any
  virtual Address origin_address() const = 0;
  virtual bool run_until(const std::function<bool()>& done) = 0;  // false: it took too long
};

std::unique_ptr<World> make_socket_world();
std::unique_ptr<World> make_simulated_world(uint64_t seed);

struct Pair {
  Protocol downstream = Protocol::http1;
  Protocol upstream = Protocol::http1;
  bool mtls = false;
  bool simulated = false;
};

class Pairing {
 public:
  explicit Pairing(const Pair& pair);
  ~Pairing();

  testing::ScriptedService& origin() { return *service_; }
  const testing::Heard& at_origin() { return service_->heard.at(0); }
  // Starts a request; what is heard lives as long as this.
  testing::Heard& ask(const testing::Script& script);
  void drop_request() { talks_.back()->stop(); }
  bool run_until(const std::function<bool()>& done) { return world_->run_until(done); }
  bool finish(const testing::Heard& heard) {
    return run_until([&] { return heard.over; });
  }
  // Lets everything go. Leaks show here: cells of the loop, chunks, streams, permits.
  void close();

 private:
  void start_origin();
  void start_sidecar();
  void start_client();
  std::shared_ptr<const config::Snapshot> snapshot() const;

  const Pair pair_;
  const size_t chunks_before_;
  std::unique_ptr<World> world_;
  std::unique_ptr<testing::ScriptedService> service_;
  std::unique_ptr<Server> origin_;
  StatRegistry stats_;
  routing::Admissions admissions_;
  std::shared_ptr<routing::Admission> admission_;
  std::unique_ptr<WorkerEnvironment> environment_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<Pool> pool_;
  std::deque<testing::Script> scripts_;
  std::deque<testing::Heard> heard_;
  std::deque<std::unique_ptr<testing::Talk>> talks_;
};

}  // namespace tulle::conformance
