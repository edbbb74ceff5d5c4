#include "sidecar/exchange/attempt.hpp"

namespace tulle::exchange {

void Attempt::start(routing::Endpoint& endpoint, Instant now, bool opaque) {
  ASSERT(endpoint_ == nullptr);
  endpoint_ = &endpoint;
  started_ = now;
  told_ = false;
  probe_ = endpoint.health().ejected;
  refusal_.reset();
  endpoint.attempt_started(unanswered_, now);
  ticket_.emplace(waiter_);
  (opaque ? endpoint.tunnels() : endpoint.pool()).request(*ticket_);
}

Attempt::Opening Attempt::opening() {
  if (auto* stream = std::get_if<StreamRef>(&ticket_->outcome)) {
    stream_ = std::move(*stream);
    stream_->set_owner(&waiter_);
    ticket_.reset();
    return Opening::open;
  }
  if (auto* error = std::get_if<Error>(&ticket_->outcome)) {
    refusal_ = std::move(*error);
    ticket_.reset();
    return Opening::failed;
  }
  return Opening::waiting;
}

void Attempt::observe(Duration latency, Instant now) {
  unanswered_.unlink();
  endpoint_->observe_latency(latency, now);
}

void Attempt::cancel() {
  ticket_.reset();
  if (stream_ != nullptr) stream_->cancel(Code::cancelled);
}

void Attempt::give_up() {
  ticket_.reset();
  unanswered_.unlink();
  if (stream_ == nullptr) return;
  stream_->set_owner(nullptr);
  // An answer that is here whole may leave its connection usable.
  stream_->receive(stream_->readable());
  stream_.reset();
}

void Attempt::drop() {
  if (endpoint_ == nullptr) return;
  ticket_.reset();
  if (stream_ != nullptr) stream_->set_owner(nullptr);
  stream_.reset();
  unanswered_.unlink();
  endpoint_->attempt_ended();
  endpoint_ = nullptr;
}

}  // namespace tulle::exchange
