// Policy: something that may change the course of a request. The exchange knows none by name.
//
// A policy answers at four moments of a request and can only return: it sends nothing, forgets to
// call nobody and cannot be re-entered. One Policy per worker and route or cluster that has it
// configured; it may keep plain mutable state, which stays while its configuration is equal. It is
// used on the worker's loop only. Adding one: a folder here and a line in catalog.cpp.
//
//   on_request   once, before the first attempt; may refuse, or wait for something
//   on_attempt   before each attempt; the same
//   on_outcome   once per attempt that was begun: how it ended. May ask for another attempt
//   on_end       once, last, whatever happened, if on_request was asked
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/clock.hpp"
#include "core/base/list.hpp"
#include "core/base/result.hpp"
#include "core/base/stats.hpp"
#include "core/net/task.hpp"
#include "sidecar/policies/endpoint_health.hpp"
#include "sidecar/policies/entry.hpp"
#include "sidecar/routing/admission.hpp"

namespace tulle {
class Loop;
class PeerIdentity;
class Rng;
struct Head;
}  // namespace tulle

namespace tulle::policies {

enum class Moment : uint8_t { request, attempt, outcome, end };
inline constexpr size_t kMoments = 4;

// ---- what a policy returns -----------------------------------------------------------------

struct Verdict {
  enum class Kind : uint8_t {
    proceed,
    wait,   // ask me again when the request's waiter is woken; its deadlines run on
    reply,  // the mesh answers with `error`
  };
  Kind kind = Kind::proceed;
  std::optional<Error> error;

  static Verdict wait() { return {Kind::wait, std::nullopt}; }
  static Verdict reply(Error why) { return {Kind::reply, std::move(why)}; }
};

// ---- what a policy sees of a request -------------------------------------------------------

// What a policy that waits keeps with the request; destroying it gives up what it waits for.
class Pending {
 public:
  virtual ~Pending() = default;
};

struct WaiterTag {};
class Waiter : public ListNode<WaiterTag> {
 public:
  explicit Waiter(Task& task) : task_(task) {}
  void wake() {
    unlink();
    task_.wake();
  }
  Task& task() { return task_; }
  // Of the policy that waits; gone when it has proceeded, replied, or the request has ended.
  std::unique_ptr<Pending> pending;

 private:
  Task& task_;
};

// Those who wait at a policy. Nobody sleeps for ever because the policy has gone.
class Waiters {
 public:
  ~Waiters() { wake_all(); }
  void add(Waiter& waiter) {
    waiter.unlink();
    list_.push_back(waiter);
  }
  bool empty() const { return list_.empty(); }
  void wake_all() {
    while (Waiter* waiter = list_.pop_front()) waiter->wake();
  }

 private:
  List<Waiter, WaiterTag> list_;
};

// Owned by the exchange, from its beginning to its end.
struct Request {
  explicit Request(Task& task) : waiter(task) {}

  const Head* head = nullptr;            // as received
  const PeerIdentity* caller = nullptr;  // verified; null: plaintext or no certificate
  Instant started{};
  uint32_t attempts = 0;                 // begun so far

  // What policies ask for and the exchange does.
  Instant deadline = kNever;             // of all attempts and the pauses between them
  size_t replay_limit = 0;               // body bytes that are kept for another attempt
  bool exhausted = false;                // another attempt was due and not allowed any more
  routing::Permits permits;              // given back at the end at the latest
  Waiter waiter;
};

struct AttemptPlan {
  Instant now{};
  Instant deadline = kNever;             // for the head of the answer
};

// How an attempt ended, as far as another one depends on it.
enum class End : uint8_t {
  answered,     // the head of an answer is here
  unconnected,  // no connection: nothing of the request has left
  refused,      // the peer promises that it has not looked at the request
  stale,        // a kept connection was closed under the request, before a byte of an answer
  reset,        // broken off; the request may have been seen
  timed_out,    // no head of an answer in time
  limited,      // one of our own limits stood in the way
  abandoned,    // nobody waits for it any more
};

struct Outcome {
  End end = End::abandoned;
  // Null: no answer. A neighbour's sidecar may have answered in its own name that it could not
  // reach its workload; `end` then says what it met.
  const Head* answer = nullptr;
  int status = 0;                        // of the answer; a gRPC status as the HTTP one it resembles
  int grpc_status = -1;                  // when it stands in the answer's head
  const Error* error = nullptr;          // when there is no answer
  EndpointHealth* endpoint = nullptr;    // never null in on_outcome
  Instant now{};
  bool probe = false;                    // the endpoint is ejected, this attempt was to look again
  bool repeatable = false;               // the exchange still has all it would send again
  bool hop_exhausted = false;            // the neighbour says that further on retries were used up
};

struct RetryPlan {
  bool wanted = false;
  Duration delay{};
};

// ---- what a policy sees of its worker ------------------------------------------------------

// What a policy has to say to its siblings.
class Note {
 public:
  virtual ~Note() = default;
};

class PolicyHost {
 public:
  virtual Loop& loop() = 0;              // the clock, and what timers and tasks need
  virtual Rng& rng() = 0;
  // Names become ids when a policy is made, never per request.
  virtual StatId counter(std::string_view family, std::string_view help, Labels labels) = 0;
  virtual StatId gauge(std::string_view family, std::string_view help, Labels labels) = 0;
  virtual void count(StatId id, int64_t by) = 0;
  // To the same policy of the same cluster in the other workers.
  virtual void tell_siblings(const struct Site& from, std::shared_ptr<const Note> note) = 0;

 protected:
  ~PolicyHost() = default;
};

// The cluster a policy stands at, as much of it as a policy may see and change.
class PolicyCluster {
 public:
  virtual const std::string& name() const = 0;
  virtual routing::Admission& admission() = 0;   // counts that all workers share
  virtual size_t endpoint_count() const = 0;     // ejected ones included
  virtual size_t ejected_count() const = 0;
  virtual EndpointHealth* find(const Address& address) = 0;
  // Until then no request goes there, then one at a time. False: another worker had done it before.
  virtual bool eject(EndpointHealth& endpoint, Instant until) = 0;
  virtual void readmit(EndpointHealth& endpoint) = 0;
  virtual void readmit_all() = 0;

 protected:
  ~PolicyCluster() = default;
};

// Where a policy stands.
struct Site {
  PolicyHost& host;
  PolicyCluster* cluster = nullptr;      // null: at a route
  const PolicyType* type = nullptr;      // its own; filled in when it is made
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual Verdict on_request(Request&) { return {}; }
  virtual Verdict on_attempt(Request&, AttemptPlan&) { return {}; }
  virtual void on_outcome(Request&, const Outcome&, RetryPlan&) {}
  virtual void on_end(Request&) {}
  virtual void on_note(const Note&) {}   // of this policy's own kind
  virtual void on_removed() {}           // it is not configured any more
};

}  // namespace tulle::policies
