#include "tests/support/talk.hpp"

#include <algorithm>
#include <utility>

namespace tulle::testing {
namespace {

bool has_trailers(const Script& script) { return !script.trailers.empty(); }

std::string text_of(const Bytes& bytes) { return bytes.to_string(); }

}  // namespace

Head response_head(int status) {
  Head head;
  head.status = status;
  return head;
}

Talk::Talk(Loop& loop, StreamRef stream, const Script& script, Heard& heard)
    : Task(loop), script_(script), heard_(heard), server_(stream->is_server()) {
  adopt(std::move(stream));
}

Talk::Talk(Loop& loop, Pool& pool, const Script& script, Heard& heard)
    : Task(loop), script_(script), heard_(heard), server_(false) {
  ticket_.emplace(*this);
  pool.request(*ticket_);
  wake();
}

Talk::~Talk() {
  if (stream_ != nullptr && stream_->failure() != nullptr) heard_.failure = *stream_->failure();
  let_go();
}

void Talk::adopt(StreamRef stream) {
  stream_ = std::move(stream);
  stream_->set_owner(this);
}

void Talk::stop() {
  ticket_.reset();
  let_go();
}

void Talk::let_go() {
  stream_.reset();
  heard_.over = true;
}

void Talk::run() {
  ++heard_.runs;
  if (ticket_ && !take_ticket()) return;
  if (stream_ == nullptr) return;
  hear();
  if (stream_->failure() != nullptr) {
    heard_.failure = *stream_->failure();
    return let_go();
  }
  say();
  if (stream_ == nullptr) return;
  if (!script_.read && stream_->arrived()) heard_.ended = true;
  const bool tunnel = heard_.head && heard_.head->status == 101;
  const bool own_over =
      server_ ? stream_->departed() : stream_->finished() || (heard_.ended && !tunnel);
  const bool early = script_.finish_early && stream_->finished();
  if ((own_over && heard_.ended) || early) let_go();
}

bool Talk::take_ticket() {
  if (auto* error = std::get_if<Error>(&ticket_->outcome)) {
    heard_.failure = *error;
    ticket_.reset();
    heard_.over = true;
    return false;
  }
  auto* stream = std::get_if<StreamRef>(&ticket_->outcome);
  if (stream == nullptr) return false;
  heard_.reused_connection = (*stream)->reused_connection();
  adopt(std::move(*stream));
  ticket_.reset();
  return true;
}

void Talk::hear() {
  while (stream_->interim() != nullptr) {
    heard_.interims.push_back(stream_->interim()->status);
    stream_->drop_interim();
  }
  if (stream_->head() != nullptr && !heard_.head) heard_.head = *stream_->head();
  if (!script_.read) return;
  while (stream_->readable() > 0) heard_.body += text_of(stream_->receive(stream_->readable()));
  if (!stream_->ended() || heard_.ended) return;
  heard_.ended = true;
  heard_.trailers = stream_->trailers();
}

bool Talk::may_say_body() const {
  if (script_.start == Script::Start::body_after_end) return heard_.ended;
  if (script_.start != Script::Start::after_continue) return true;
  return std::find(heard_.interims.begin(), heard_.interims.end(), 100) != heard_.interims.end();
}

void Talk::say() {
  say_interims();
  if (script_.start == Script::Start::after_end && !heard_.ended) return;
  if (!stream_->head_sent()) say_head();
  if (stream_->finished() || !may_say_body()) return;
  while (sent_ < script_.body.size()) {
    size_t part = std::min(stream_->room(), script_.body.size() - sent_);
    if (script_.reset_after) part = std::min(part, *script_.reset_after - sent_);
    if (part > 0) stream_->send(Bytes(std::string_view(script_.body).substr(sent_, part)));
    sent_ += part;
    if (script_.reset_after && sent_ >= *script_.reset_after) return let_go();
    if (part == 0) return;
  }
  stream_->draft_trailers() = script_.trailers;
  stream_->finish();
}

void Talk::say_interims() {
  for (; interims_said_ < script_.interims.size(); ++interims_said_) {
    stream_->draft().status = script_.interims[interims_said_];
    stream_->send_interim();
  }
}

void Talk::say_head() {
  Head& head = stream_->draft();
  head = script_.head;
  head.ended = script_.body.empty() && !has_trailers(script_);
  if (script_.announce_length && !has_trailers(script_)) head.content_length = script_.body.size();
  if (!server_ && head.ended) head.content_length.reset();
  stream_->send_head();
}

std::unique_ptr<Task> ScriptedService::serve(StreamRef stream) {
  heard.emplace_back();
  return std::make_unique<Talk>(loop_, std::move(stream), script, heard.back());
}

}  // namespace tulle::testing
