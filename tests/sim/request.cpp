#include "tests/sim/request.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "core/net/loop.hpp"

namespace tulle::sim {
namespace {

constexpr Duration kRest = 2ms;

// What the caller expects of the answer's body: an echo is its own request.
uint64_t answer_body_of(const RequestPlan& plan) {
  return plan.behaviour == Behaviour::echo ? request_number(plan.id) : answer_number(plan.id);
}

}  // namespace

std::string_view to_string(Outcome::Kind kind) {
  constexpr std::array<std::string_view, 6> kNames{"pending", "complete", "mesh answer",
                                                   "failed",  "dropped",  "gave up"};
  return kNames[static_cast<size_t>(kind)];
}

Request::Request(SimulatedClock& clock, Loop& loop, Pool& pool, const RequestPlan& plan,
                 Duration patience, Findings& findings)
    : Task(loop),
      Sleeper(clock),
      clock_(clock),
      pool_(pool),
      plan_(plan),
      patience_(patience),
      findings_(findings),
      answer_(answer_body_of(plan)),
      start_(*this),
      rest_(*this),
      interest_(*this) {
  start_.arm(plan.starts);
  wake();
}

void Request::run() {
  if (ended() || look_at_timers()) return;
  if (ticket_) take_outcome();
  if (stream_ != nullptr) exchange();
}

// True: there is nothing else to do now.
bool Request::look_at_timers() {
  if (interest_.fired()) {
    end(plan_.drops_in > Duration{} ? Outcome::Kind::dropped : Outcome::Kind::gave_up);
    return true;
  }
  if (rest_.fired()) rest_.disarm();
  if (start_.fired()) {
    start_.disarm();
    begin();
  }
  return start_.armed();
}

void Request::begin() {
  outcome_.began = loop_.now();
  interest_.arm(plan_.drops_in > Duration{} ? plan_.drops_in : patience_);
  ticket_.emplace(task());
  pool_.request(*ticket_);
}

void Request::take_outcome() {
  if (auto* error = std::get_if<Error>(&ticket_->outcome)) {
    return end(Outcome::Kind::failed, std::string(to_string(error->code)) + ": " + error->detail);
  }
  auto* stream = std::get_if<StreamRef>(&ticket_->outcome);
  if (stream == nullptr) return;
  stream_ = std::move(*stream);
  stream_->set_owner(this);
  ticket_.reset();
  send_head();
}

void Request::send_head() {
  const bool has_body = plan_.request_size > 0 || plan_.request_trailers;
  Head& head = stream_->draft();
  head.method = has_body ? Method::post : Method::get;
  head.method_text = has_body ? "POST" : "GET";
  head.scheme = "http";
  head.authority = "orders";
  head.path = "/requests/" + std::to_string(plan_.id);
  head.fields.add("sim-id", std::to_string(plan_.id));
  if (has_body && !plan_.request_chunked) head.content_length = plan_.request_size;
  if (plan_.expects_continue) {
    head.expects_continue = true;
    head.fields.add(FieldId::expect, "100-continue");
  }
  head.ended = !has_body;
  stream_->send_head();
}

void Request::exchange() {
  while (stream_->interim() != nullptr) {
    continued_ = continued_ || stream_->interim()->status == 100;
    stream_->drop_interim();
  }
  receive();
  if (ended() || stream_->failure() != nullptr) return;
  send_body();
}

// Who asks for permission waits for it, but not after an answer.
bool Request::may_send_body() const {
  return !stream_->finished() && (!plan_.expects_continue || continued_);
}

void Request::send_body() {
  if (!may_send_body()) return;
  while (sent_ < plan_.request_size) {
    const size_t most = std::min(stream_->room(), plan_.request_size - sent_);
    if (most == 0) return;
    stream_->send(body_part(request_number(plan_.id), sent_, most));
    sent_ += most;
  }
  if (plan_.request_trailers) {
    stream_->draft_trailers().set("sim-digest",
                                  body_digest(request_number(plan_.id), plan_.request_size));
  }
  stream_->finish();
}

void Request::receive() {
  if (stream_->head() != nullptr && !rest_.armed() && stream_->readable() > 0) {
    const Bytes part = stream_->receive(plan_.reads_at_once);
    if (stream_->head()->fields.get(FieldId::tulle_error) == std::nullopt) answer_.take(part);
    if (stream_->readable() > 0 || plan_.reads_at_once != SIZE_MAX) rest_.arm(kRest);
  }
  if (stream_->head() != nullptr && stream_->ended()) return judge_answer();
  if (stream_->failure() != nullptr) {
    const Error& why = *stream_->failure();
    end(Outcome::Kind::failed, std::string(to_string(why.code)) + ": " + why.detail);
  }
}

void Request::judge_answer() {
  const Head& head = *stream_->head();
  if (const auto code = head.fields.get(FieldId::tulle_error)) {
    return end(Outcome::Kind::mesh_answer, std::string(*code));
  }
  if (head.status != 200) wrong("status " + std::to_string(head.status));
  if (head.fields.get("sim-id") != std::to_string(plan_.id)) wrong("somebody else's answer");
  if (!answer_.intact()) wrong("a wrong byte near " + std::to_string(answer_.wrong_at()));
  if (plan_.behaviour == Behaviour::broken) wrong("complete, although it was broken off");
  if (answer_.size() != plan_.answer_size) {
    wrong("complete with " + std::to_string(answer_.size()) + " bytes of " +
          std::to_string(plan_.answer_size));
  }
  judge_trailers();
  end(Outcome::Kind::complete);
}

void Request::judge_trailers() {
  if (!plan_.answer_trailers) return;
  const std::string_view digest = stream_->trailers().get("sim-digest").value_or("(none)");
  if (digest != body_digest(answer_number(plan_.id), plan_.answer_size)) {
    wrong("trailer sim-digest is " + std::string(digest));
  }
}

void Request::end(Outcome::Kind kind, std::string detail) {
  if (ended()) wrong("it ended twice");
  outcome_.kind = kind;
  outcome_.detail = std::move(detail);
  outcome_.ended = loop_.now();
  clock_.note("outcome", uint64_t{plan_.id} << 8 | static_cast<uint64_t>(kind));
  clock_.note("answer", answer_.size());
  ticket_.reset();
  stream_.reset();
  start_.disarm();
  rest_.disarm();
  interest_.disarm();
}

void Request::wrong(const std::string& what) {
  findings_.add("request " + std::to_string(plan_.id) + " at the caller: " + what);
}

std::string Request::could_progress() const {
  if (ended() || awake() || start_.armed()) return {};
  std::string missed;
  if (ticket_ && ticket_->outcome.index() != 0) {
    missed = "its ticket has an outcome";
  } else if (stream_ == nullptr || rest_.armed()) {
    return {};
  } else if (stream_->failure() != nullptr) {
    missed = "its stream has failed";
  } else if (stream_->head() != nullptr && (stream_->readable() > 0 || stream_->ended())) {
    missed = "there is something to read";
  } else if (may_send_body() && sent_ < plan_.request_size && stream_->room() > 0) {
    missed = "there is room";
  }
  if (missed.empty()) return {};
  return "request " + std::to_string(plan_.id) + " sleeps at the caller, but " + missed;
}

std::string Request::text() const {
  std::string out = "request " + std::to_string(plan_.id) + " " +
                    std::string(to_string(outcome_.kind)) + " (" + outcome_.detail + "), sent " +
                    std::to_string(sent_) + " of " + std::to_string(plan_.request_size) +
                    ", received " + std::to_string(answer_.size()) + " of " +
                    std::to_string(plan_.answer_size);
  if (ticket_) out += ", waits for a connection";
  if (ended()) {
    out +=
        ", after " + std::to_string((outcome_.ended - outcome_.began).count() / 1'000'000) + " ms";
  }
  return out;
}

}  // namespace tulle::sim
