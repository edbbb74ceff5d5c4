// Attempt: one try of an exchange at one endpoint.
//
// Owns the ticket at the pool and then the upstream stream. Dropping it cancels what is still open
// and takes its load off the endpoint. One at a time is reused for the next try.
#pragma once

#include <memory>
#include <optional>

#include "core/base/clock.hpp"
#include "core/http/pool.hpp"
#include "sidecar/routing/endpoint.hpp"

namespace tulle::exchange {

class Attempt {
 public:
  explicit Attempt(Task& waiter) : waiter_(waiter) {}
  ~Attempt() { drop(); }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // Asks the endpoint's pool for a stream. The outcome may be there at once.
  // `opaque`: one for bytes without HTTP around them.
  void start(routing::Endpoint& endpoint, Instant now, bool opaque);
  // The pool's answer, as data: still waiting, a stream (moved in here), or why not.
  enum class Opening : uint8_t { waiting, open, failed };
  Opening opening();
  const Error& refusal() const { return *refusal_; }

  bool active() const { return endpoint_ != nullptr; }
  bool has_stream() const { return stream_ != nullptr; }
  Stream& stream() { return *stream_; }
  routing::Endpoint& endpoint() { return *endpoint_; }
  Instant started() const { return started_; }
  bool is_probe() const { return probe_; }

  // How it ended is known and has been told. True once.
  bool take_outcome() { return active() && !std::exchange(told_, true); }
  // Response head seen, or failed: what the balancer learns.
  void observe(Duration latency, Instant now);
  // Nothing more is wanted of it: leaves the pool's queue, or cancels what is still open. The stream
  // stays until drop(), because it knows the peer.
  void cancel();
  // Cancels what is still open, at once; the endpoint is kept until the next start() or drop().
  void give_up();
  void drop();

 private:
  Task& waiter_;
  routing::Endpoint* endpoint_ = nullptr;
  std::optional<Ticket> ticket_;
  StreamRef stream_;
  std::optional<Error> refusal_;
  routing::Unanswered unanswered_;  // with the endpoint until its outcome is known
  Instant started_{};
  bool told_ = false;
  bool probe_ = false;
};

}  // namespace tulle::exchange
