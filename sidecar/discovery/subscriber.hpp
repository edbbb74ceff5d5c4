// Subscriber: what the control plane says, as data. The sidecar's client of the discovery service.
//
// A task on the main loop. Owns one pool (HTTP/2, TLS) to the control plane, the ADS stream, its
// back-off, and the session with everything that has been said. Subscribes to the listeners that
// are wanted and to whatever they lead to. A lost stream changes nothing but connected(): the
// resources stay for ever. Wakes its owner when there is something new to look at:
//
//   if (subscriber.undecided()) {
//     compile(subscriber.resources(), ...)      // includes what has just arrived
//     subscriber.decide({refusals, in_use})     // at once, or later: nothing is lost meanwhile
//   }
//   if (subscriber.changes() != seen) ...       // unknown(), connected(): changed as well
//
// A refused resource goes back to what was accepted before; resources() is the accepted state after
// decide(). What nothing refers to any more, and nobody still uses, leaves resources().
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/rng.hpp"
#include "core/base/stats.hpp"
#include "core/http/grpc_stream.hpp"
#include "core/http/pool.hpp"
#include "core/net/network.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "core/net/tls.hpp"
#include "xds/client_session.hpp"

namespace tulle::discovery {

// What the owner found when it looked at resources().
struct Verdict {
  // Resources that do not compile: rejected, with this text. Those that merely wait for others
  // (a route whose cluster has not arrived) are not refused.
  std::vector<xds::Refusal> refusals;
  // What the configuration in force still uses of older forms (held back destinations): stays
  // subscribed although nothing in resources() refers to it.
  std::set<xds::ResourceKey> in_use;
};

class Subscriber final : private Task {
 public:
  struct Options {
    Address control_plane;
    std::string authority;            // of requests; empty: the address
    xds::Node node;
    // Without TLS (tests, debugging). Otherwise nothing is sent before set_tls().
    bool plaintext = false;
    // Secrets that are not asked for: they are made here.
    std::set<std::string> local_secrets{"default"};
    // Asked for whoever refers to them: the trust bundle is replaced by push.
    std::set<std::string> wanted_secrets{"ROOTCA"};
    // Full jitter between zero and a bound that doubles; back to the first after a response. A
    // control plane that restarts meets all its sidecars within seconds, not at once.
    Duration first_delay = std::chrono::milliseconds(500);
    Duration max_delay = std::chrono::seconds(15);
    // A whole set of listeners or clusters is one message.
    size_t max_message = 64 * 1024 * 1024;
  };
  // `network`, `stats`, `shard` and `owner` must outlive it. Begins in the loop's next turn.
  Subscriber(Loop& loop, Network& network, Options options, StatRegistry& stats, StatShard& shard,
             uint64_t seed, Task& owner);
  ~Subscriber() override;

  // The identity for connections from now on. The stream moves over as soon as a connection with it
  // is open; until then, or if none opens, the present one stays.
  void set_tls(std::shared_ptr<const TlsContext> tls);
  // What the node says about itself. The stream begins anew when it has changed.
  void set_node(xds::Node node);
  // Listeners asked for by name, beside "*" (those the server deems right for the node).
  void want_listeners(std::set<std::string> names);
  // A previous run's resources: in resources() until the control plane says otherwise. Call first.
  void restore(xds::ResourceSet resources);

  // The orderly end of the stream, which tells the control plane that the workload goes for good:
  // others stop calling it at once. Nothing is asked for and nothing connects from now on.
  void leave();

  const xds::ResourceSet& resources() const { return session_.resources(); }
  bool undecided() const { return session_.undecided(); }
  void decide(const Verdict& verdict);

  // Listener names that the control plane has answered not to exist. Silence is no answer.
  const xds::ClientSession::Names& unknown() const {
    return session_.unknown(xds::ResourceType::listener);
  }

  bool connected() const { return stream_ != nullptr && session_.heard(); }
  const std::string& last_failure() const { return last_failure_; }  // why there is no stream
  // Has ever been answered for its listeners in this run.
  bool initialized() const { return initialized_; }
  // Rises with resources(), unknown(), connected() and another last_failure().
  uint64_t changes() const { return session_.changes() + connection_changes_; }
  // Of the last response of a type; empty when it was accepted.
  const std::string& rejection(xds::ResourceType type) const { return session_.rejection(type); }
  const std::string& version(xds::ResourceType type) const {
    return session_.accepted_version(type);
  }

 private:
  struct Counters {
    StatId connected, accepted, rejected, streams, disconnects;
  };
  // What a resource refers to, read once.
  struct References {
    std::shared_ptr<const xds::Resource> resource;
    std::set<xds::ResourceKey> to;
  };

  void run() override;
  void run_leaving();
  void open();
  void take_ticket();
  void adopt(StreamRef stream);
  void move();
  void receive();
  void heard();
  void send();
  void lose(std::string why);
  void note_failure(std::string why);
  void back_off();
  void subscribe();
  const std::set<xds::ResourceKey>& references(
      const std::shared_ptr<const xds::Resource>& resource);
  void note_state();

  const Options options_;
  StatShard& shard_;
  const Counters counters_;
  Task& owner_;
  Rng rng_;
  Timer retry_;                       // until the next attempt
  Timer delayed_;                     // until a delayed request is due
  Timer answer_;                      // until the first answer on a stream
  std::unique_ptr<Pool> pool_;
  std::optional<Ticket> ticket_;      // an attempt for a stream
  std::unique_ptr<GrpcStream> stream_;
  xds::ClientSession session_;
  std::set<std::string> listeners_;
  std::set<xds::ResourceKey> in_use_;
  std::map<const xds::Resource*, References> references_;
  std::string last_failure_;
  Duration bound_;                    // of the next delay
  uint64_t connection_changes_ = 0;
  uint64_t told_ = 0;                 // changes() when the owner was last woken
  bool has_tls_ = false;
  bool move_due_ = false;             // to a new identity or node
  bool leaving_ = false;
  bool was_connected_ = false;
  bool initialized_ = false;
};

}  // namespace tulle::discovery
