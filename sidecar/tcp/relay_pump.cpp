// Relay: what is carried between the two sides, and the end.
#include <algorithm>
#include <utility>

#include "core/net/loop.hpp"
#include "core/net/tls.hpp"
#include "sidecar/tcp/relay.hpp"

namespace tulle::tcp {
namespace {

// For peers to read our last bytes after both directions have ended.
constexpr Duration kLinger = 2s;
// Both directions have ended and somebody still has to take what we hold: looked at this often.
constexpr Duration kFlushCheck = 50ms;

}  // namespace

bool Relay::relay() {
  if (!down_.has_stream()) {
    if (up_.spoke() || up_.failure()) owner_->wake();
    return false;
  }
  if (broken()) return true;
  const bool up = pump(down_, up_);
  const bool down = pump(up_, down_);
  if (up || down) {
    last_progress_ = loop_.now();
    stats_.passed(assignment_.stat_slot, down_.received() - counted_down_,
                  up_.received() - counted_up_);
    counted_down_ = down_.received();
    counted_up_ = up_.received();
  }
  if (!down_.output_ended() || !up_.output_ended()) return false;
  phase_ = Phase::flushing;
  return true;
}

// A side did not end as it should: the other one must not take it for an orderly end.
bool Relay::broken() {
  if (down_.failure()) {
    return refuse({Code::closed, Origin::downstream, down_.failure()->detail});
  }
  if (up_.failure()) {
    return refuse({Code::upstream_reset, Origin::upstream, up_.failure()->detail});
  }
  return false;
}

// What lies there goes at once; whether more is read depends on how much the receiver still owes to
// its peer. Each direction is on its own: neither waits for the other.
bool Relay::pump(Side& from, Side& to) {
  bool moved = false;
  if (!from.pending().empty() && to.stream().backlog() <= ByteStream::kBacklogMark) {
    to.stream().write(std::move(from.pending()));
    moved = true;
  }
  // Above the mark on_drain() is certain to come.
  from.want_read(from.pending().empty() && to.stream().backlog() <= ByteStream::kBacklogMark);
  if (from.drained()) to.end_output();
  return moved;
}

// Nothing more comes from either side. The slower one still takes what it is owed.
bool Relay::flush() {
  if (broken()) return true;
  if (down_.stream().backlog() > 0 || up_.stream().backlog() > 0) {
    timer_.arm(kFlushCheck);
    return false;
  }
  conclude();
  return false;
}

// A deadline may have passed. True: it has, and something has changed.
bool Relay::check_time() {
  const Instant now = loop_.now();
  timer_.disarm();
  const std::string to = endpoint_ != nullptr ? endpoint_->address().to_string() : "";
  switch (phase_) {
    case Phase::greeting:
      if (now < deadline_) break;
      return refuse({Code::tls_failed, Origin::downstream, "the TLS handshake took too long"});
    case Phase::dialling:
      if (now < deadline_) break;
      return attempt_failed({Code::connect_timeout, Origin::upstream,
                             "connect " + to + ": no answer in time"});
    case Phase::securing:
      if (now < deadline_) break;
      return attempt_failed({Code::tls_failed, Origin::upstream,
                             to + ": the TLS handshake took too long"});
    case Phase::relaying:
    case Phase::flushing: {
      if (proxy_->idle_timeout <= Duration{0}) return false;
      if (now >= last_progress_ + proxy_->idle_timeout) {
        return refuse({Code::idle_timeout, Origin::local, "idle for too long"});
      }
      deadline_ = last_progress_ + proxy_->idle_timeout;
      break;
    }
    case Phase::locating:
    case Phase::over: return false;
  }
  if (deadline_ != kNever) timer_.arm_at(deadline_);
  return false;
}

void Relay::conclude() {
  phase_ = Phase::over;
  if (had_client_) {
    exchange::Summary summary;
    summary.opaque = true;
    summary.listener = assignment_.listener.get();
    summary.listener_stat_slot = assignment_.stat_slot;
    summary.server_name = assignment_.server_name;
    summary.external = assignment_.external;
    summary.cluster = cluster_;
    summary.endpoint = last_endpoint_;
    if (down_.has_stream()) summary.caller = down_.stream().peer_identity();
    if (up_.has_stream() && up_.stream().peer_identity() != nullptr) {
      summary.callee = up_.stream().peer_identity()->spiffe_id;
    }
    summary.config_version = assignment_.config_version;
    summary.error = error_ ? &*error_ : nullptr;
    summary.attempts = attempts_;
    summary.bytes_received = down_.received();
    summary.bytes_sent = up_.received();
    summary.duration = loop_.now() - assignment_.accepted;
    summary.upstream_latency = connect_latency_;
    stats_.passed(assignment_.stat_slot, down_.received() - counted_down_,
                  up_.received() - counted_up_);
    stats_.ended(assignment_.stat_slot, summary.error);
    host_.ended(summary);
  } else {
    stats_.withdrawn(assignment_.stat_slot);
  }
  timer_.disarm();
  search_.let_go();
  if (had_client_ && !error_) {
    ByteStream::finish(down_.take_stream(), kLinger);
    ByteStream::finish(up_.take_stream(), kLinger);
  } else {
    ByteStream::abort(down_.take_stream());
    ByteStream::abort(up_.take_stream());
  }
  leave_endpoint();
  if (permitted_) cluster_->admission().give_connection();
  if (cluster_ != nullptr) std::exchange(cluster_, nullptr)->exchange_ended();
  if (ended_ != nullptr) {
    static_cast<ListNode<RelayTag>&>(*this).unlink();
    ended_->push_back(*this);
  }
  owner_->wake();
}

}  // namespace tulle::tcp
