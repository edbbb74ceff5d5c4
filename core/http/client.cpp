#include "core/http/client.hpp"

#include <utility>

namespace tulle {

Head request_head(Method method, std::string_view method_text, std::string_view authority,
                  std::string_view path) {
  Head head;
  head.method = method;
  head.method_text = method_text;
  head.scheme = "http";
  head.authority = authority;
  head.path = path;
  return head;
}

Call::Call(Loop& loop, Pool& pool, CallRequest request, Task& owner)
    : Task(loop), pool_(pool), request_(std::move(request)), owner_(owner), timer_(*this) {
  if (request_.timeout > Duration{}) timer_.arm(request_.timeout);
  begin();
}

Call::~Call() = default;

void Call::begin() {
  sent_ = 0;
  Task& waiter = *this;
  ticket_.emplace(waiter);
  pool_.request(*ticket_);
  wake();
}

void Call::run() {
  if (outcome_) return;
  if (timer_.fired()) {
    return conclude(Error{Code::request_timeout, Origin::upstream, "no answer in time"});
  }
  if (stream_ == nullptr && !take_stream()) return;
  receive();
  if (stream_ != nullptr) send();
}

// True when the stream is there; the head has been sent then.
bool Call::take_stream() {
  if (auto* error = std::get_if<Error>(&ticket_->outcome)) {
    conclude(std::move(*error));
    return false;
  }
  auto* stream = std::get_if<StreamRef>(&ticket_->outcome);
  if (stream == nullptr) return false;
  stream_ = std::move(*stream);
  ticket_.reset();
  stream_->set_owner(this);
  Head& head = stream_->draft();
  head = request_.head;
  head.ended = request_.body.empty();
  if (!head.ended) head.content_length = request_.body.size();
  stream_->send_head();
  return true;
}

void Call::send() {
  while (sent_ < request_.body.size()) {
    const size_t room = stream_->room();
    if (room == 0) return;
    const std::string_view part = std::string_view(request_.body).substr(sent_, room);
    stream_->send(Bytes(part));
    sent_ += part.size();
  }
  stream_->finish();
}

void Call::receive() {
  while (stream_->interim() != nullptr) stream_->drop_interim();
  while (stream_->readable() > 0) {
    const Bytes part = stream_->receive(stream_->readable());
    if (answer_.body.size() + part.size() > request_.max_body) {
      return conclude(Error{Code::upstream_protocol_error, Origin::upstream,
                            "the answer is larger than the caller allows"});
    }
    for (size_t i = 0; i < part.slice_count(); ++i) answer_.body.append(part.slice(i));
  }
  if (stream_->ended() && stream_->head() != nullptr) {
    answer_.head = *stream_->head();
    answer_.trailers = stream_->trailers();
    return conclude(std::move(answer_));
  }
  if (const Error* failure = stream_->failure()) {
    if (!repeat()) conclude(*failure);
  }
}

bool Call::repeat() {
  const bool safe = stream_->untouched() && stream_->reused_connection();
  if (!safe || repeated_ || !is_idempotent(request_.head.method)) return false;
  repeated_ = true;
  stream_.reset();
  begin();
  return true;
}

void Call::conclude(Result<CallAnswer> outcome) {
  outcome_.emplace(std::move(outcome));
  ticket_.reset();
  stream_.reset();
  timer_.disarm();
  owner_.wake();
}

}  // namespace tulle
