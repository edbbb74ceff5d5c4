// SimulatedNetwork: hosts, listeners and connections in memory, on virtual time.
//
// Owns: every connection on the way (SimulatedWire), the rules of links, and the faults. All chance
// comes from the clock's generator, so a seed replays. Each process of a simulated mesh gets its
// own Network by host(); they may share a loop. What is on the way in one direction of a connection
// is bounded, so back-pressure is real. It must outlive the networks, listeners and streams it
// made.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/net/network.hpp"
#include "core/net/simulated_engine.hpp"

namespace tulle {

class SimulatedAcceptor;
class SimulatedWire;

struct LinkOptions {
  enum class Slicing {
    whole,   // a read gets what has arrived
    seeded,  // anything from one byte to all of it, by chance
    bytes,   // always one byte
  };
  Duration latency = 200us;     // one way
  Duration jitter = 100us;      // at most so much more, by chance; order is kept
  size_t capacity = 64 * 1024;  // bytes on the way or unread, per direction
  Slicing slicing = Slicing::seeded;
};

// Probabilities: of a connect to be refused, and of each arrival to do the rest.
struct ChaosOptions {
  double refuse = 0;
  double reset = 0;
  double close = 0;
  double black_hole = 0;
  double stall = 0;  // the arrival comes up to stall_for later, and so does all after it
  Duration stall_for = 200ms;
};

enum class Cut {
  reset,       // both ends: connection reset; what was on the way is lost
  close,       // both ends: orderly end after what was on the way; later writes are reset
  black_hole,  // nothing arrives any more and nobody is told
};

struct SimulatedHostOptions {
  // Set: connections leave for here instead, as by a packet filter; the accepted stream knows the
  // original destination.
  Address redirect_to;
};

class SimulatedNetwork : private Sleeper {
 public:
  explicit SimulatedNetwork(SimulatedClock& clock);
  ~SimulatedNetwork() override;

  // What a process on `ip` calls the network. 127.0.0.0/8 and ::1 stay within one ip.
  std::unique_ptr<Network> host(Loop& loop, std::string_view ip,
                                const SimulatedHostOptions& options = {});

  void set_link(const LinkOptions& options) { default_link_ = options; }
  void set_link(const std::string& ip, const std::string& other_ip, const LinkOptions& options);
  void set_loopback(const LinkOptions& options) { loopback_ = options; }
  void set_chaos(const ChaosOptions& options) { chaos_ = options; }
  void refuse(const Address& at, bool refused = true);

  // Nothing passes between two hosts until heal(); then everything goes on where it stopped.
  void partition(const std::string& ip, const std::string& other_ip);
  void heal(const std::string& ip, const std::string& other_ip);
  void heal_all();

  struct Connection {
    uint64_t id;
    Address client;
    Address server;
  };
  std::vector<Connection> connections() const;  // established, oldest first
  void cut(uint64_t id, Cut how);
  void cut_all(Cut how);
  bool cut_any(Cut how);  // one by chance; false: there is none

  struct Counters {
    uint64_t connects = 0;
    uint64_t accepted = 0;
    uint64_t refused = 0;
    uint64_t cuts = 0;
    uint64_t bytes = 0;  // delivered to readers
  };
  const Counters& counters() const { return counters_; }

 private:
  friend class SimulatedAcceptor;
  friend class SimulatedHost;
  friend class SimulatedWire;
  class Reaper;
  using Pair = std::pair<std::string, std::string>;

  std::string could_progress() const override;
  static Pair pair_of(const std::string& ip, const std::string& other_ip);
  const LinkOptions& link(const Address& a, const Address& b) const;
  bool is_partitioned(const Address& a, const Address& b) const;
  SimulatedAcceptor* find_listener(const std::string& from_ip, const Address& to);
  void arrive(SimulatedWire& wire, const std::string& from_ip);
  void reap_later();
  void reap();
  void resume_all();

  SimulatedClock& clock_;
  LinkOptions default_link_;
  LinkOptions loopback_{20us, 10us, 64 * 1024, LinkOptions::Slicing::seeded};
  ChaosOptions chaos_;
  std::map<Pair, LinkOptions> links_;
  std::set<Pair> partitions_;
  std::set<std::string> refused_;
  std::vector<SimulatedAcceptor*> listeners_;
  std::map<uint64_t, std::unique_ptr<SimulatedWire>> wires_;
  std::unique_ptr<Reaper> reaper_;
  uint64_t next_id_ = 1;
  uint16_t next_port_ = 32768;
  Counters counters_;
};

}  // namespace tulle
