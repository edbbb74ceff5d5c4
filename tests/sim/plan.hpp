// Plan: everything that a seed decides, made before anything runs.
//
// Owns: nothing but values. What happens on the wires (when a slice ends, how late it is) is drawn
// while the simulation runs, from the clock's generator; what people and machines do is here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/clock.hpp"
#include "core/http/connection.hpp"
#include "core/net/simulated_network.hpp"

namespace tulle::sim {

// What the application does with a request.
enum class Behaviour : uint8_t {
  reply,   // reads all of it, then answers
  echo,    // answers with what it reads, while it reads
  early,   // answers at once and never looks at the request's body
  slow,    // as reply, but thinks first and answers in pieces
  broken,  // as reply, but breaks the answer off
};

struct RequestPlan {
  uint32_t id = 0;
  uint32_t client = 0;
  Duration starts{};
  Behaviour behaviour = Behaviour::reply;
  size_t request_size = 0;
  size_t answer_size = 0;
  bool request_chunked = false;  // no content-length
  bool answer_chunked = false;
  bool request_trailers = false;  // only where there is no content-length: HTTP/1 knows no others
  bool answer_trailers = false;
  bool expects_continue = false;
  size_t reads_at_once = SIZE_MAX;  // the client takes so much, then rests for a moment
  Duration app_delay{};             // slow: before the answer and between its pieces
  size_t breaks_after = 0;          // broken: bytes of the answer; 0: not even a head
  Duration drops_in{};              // the client loses interest so long after it began; 0: never
};

enum class Link : uint8_t { client_to_a, a_to_b, b_to_app };
inline constexpr int kLinks = 3;

struct FaultPlan {
  enum class Kind : uint8_t {
    reset,       // a connection of `link` is reset
    close,       // ... is closed in order by a middlebox
    black_hole,  // ... carries nothing any more
    partition,   // nothing passes between the two hosts of `link`
    heal,        // until now
    app_stops,   // an application instance refuses connects, its connections are gone
    app_starts,
    app_leaves,       // the configuration loses an endpoint
    app_joins,        // ... and gets it back
    route_changes,    // requests take another route to the same cluster
    new_certificate,  // a sidecar gets a new certificate
    drain,            // a sidecar drains; a new process serves from then on
    crash,            // a sidecar dies; a new process serves from a moment later on
  };
  Kind kind = Kind::reset;
  Duration at{};
  Link link = Link::a_to_b;
  uint32_t which = 0;  // the application instance, or the sidecar (0: A, 1: B), or the connection
};

struct ClientPlan {
  Protocol protocol = Protocol::http1;
};

struct Plan {
  uint64_t seed = 0;
  bool faults = false;
  bool black_holes = false;
  bool mesh_is_h2 = true;  // between the sidecars
  bool app_is_h2 = false;
  bool round_robin = false;
  bool resilient = false;   // retries and outlier detection are on, as the mesh has them
  uint32_t apps = 2;
  LinkOptions wires;  // of every link
  std::vector<ClientPlan> clients;
  std::vector<RequestPlan> requests;
  std::vector<FaultPlan> happenings;  // in order of time

  std::string text() const;  // a line for people
};

Plan make_plan(uint64_t seed);
std::string_view to_string(FaultPlan::Kind kind);

}  // namespace tulle::sim
