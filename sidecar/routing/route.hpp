// Route: what to match and what to do, compiled. Immutable, shared by all workers.
//
// Names are resolved when the configuration is compiled: a route carries cluster indexes, never
// cluster names. Which cluster an index means is said by the snapshot the route belongs to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/base/clock.hpp"
#include "sidecar/policies/entry.hpp"
#include "sidecar/routing/matchers.hpp"

namespace tulle::routing {

using ClusterIndex = uint32_t;
// The target of a reference that cannot be resolved: no cluster ever has this index, and a request
// that is sent there is answered invalid_backend.
inline constexpr ClusterIndex kInvalidBackend = UINT32_MAX;

struct PathMatch {
  StringMatch text;             // exact, prefix or regex; "" and "/" as prefix match every path
  bool whole_segments = false;  // prefix "/a" matches "/a" and "/a/b", not "/ab"

  bool matches(std::string_view path) const;  // without query
  size_t matched_size(std::string_view path) const;  // how much of a matching path it stands for
};

// A share of the requests, in parts of 100, 10,000 or 1,000,000.
struct Fraction {
  uint32_t numerator = 100;
  uint32_t denominator = 100;
};

// All conditions must hold.
struct RouteMatch {
  PathMatch path;
  std::vector<FieldMatch> fields;
  std::vector<QueryMatch> query;
  bool grpc_only = false;  // content-type application/grpc or application/grpc+...
  std::optional<Fraction> fraction;
  bool connect_only = false;  // CONNECT, which has no path; all other routes are for everything else

  bool matches(const RequestView& request, SplitPath path, uint64_t random) const;
};

// One change to the header fields of a message. Applied in order.
struct FieldChange {
  enum class Action : uint8_t {
    remove,
    append,               // add, keeping what is there
    add_if_absent,
    overwrite,            // set, whether or not it was there
    overwrite_if_present,
  };
  Action action = Action::append;
  std::string name;   // lower-case
  std::string value;
};

struct FieldChanges {
  std::vector<FieldChange> request;
  std::vector<FieldChange> response;
};

struct Target {
  ClusterIndex cluster = 0;
  uint32_t weight = 1;
  FieldChanges changes;      // complete: the target's own, then the route's, host's and table's
  std::string host_rewrite;  // the new authority; empty: unchanged
};

// What a route says about upgrades to a protocol; it overrides what the listener says.
struct UpgradeRule {
  std::string protocol;  // lower case
  bool allowed = true;
};

// What a route does with CONNECT.
enum class ConnectRule : uint8_t {
  unsaid,      // what the listener says: forwarded or refused
  refused,
  forwarded,   // as a CONNECT
  terminated,  // the bytes go to the endpoint without HTTP around them
};

// Forward to a cluster, or to one of several by weight.
struct Forward {
  std::vector<Target> targets;  // never empty
  uint64_t total_weight = 1;    // of targets; at least 1
  std::optional<Duration> idle_timeout;  // overrides the listener's; zero: none
  std::optional<std::string> prefix_rewrite;
  std::optional<std::string> path_rewrite;  // replaces the whole path, not the query
  std::vector<UpgradeRule> upgrades;
  ConnectRule connect = ConnectRule::unsaid;
  bool auto_host_rewrite = false;        // authority := the endpoint's hostname, when it has one

  const Target& pick(uint64_t random) const;
};

struct DirectResponse {
  uint16_t status = 200;
  std::string body;
};

struct Redirect {
  uint16_t status = 301;
  std::string scheme;                 // empty: the request's
  std::string host;                   // empty: the request's
  uint16_t port = 0;                  // 0: the request's, unless the scheme changes
  std::optional<std::string> path;    // replaces path and, when it has one, query
  std::optional<std::string> prefix;  // replaces what the route's path matched
  bool strip_query = false;
};

struct Route {
  std::string name;          // the route's own, else "<virtual host>[<position>]"
  std::string virtual_host;
  RouteMatch match;
  std::variant<Forward, DirectResponse, Redirect> action;
  FieldChanges changes;      // for answers that have no target; a target's own list is complete
  policies::Entries policies;
  uint32_t ordinal = 0;      // among all routes of its table; set by the table
};

// The path (with query) to send upstream: what the route rewrites applied.
std::string rewritten_path(const Route& route, const Forward& forward, std::string_view path);

// The value of `location`.
std::string redirect_location(const Route& route, const Redirect& redirect,
                              const RequestView& request);

}  // namespace tulle::routing
