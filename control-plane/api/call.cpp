#include "control-plane/api/call.hpp"

#include "control-plane/api/watch_stream.hpp"
#include "control-plane/model/read.hpp"
#include "core/net/loop.hpp"

namespace tulle::api {

namespace {

bool takes_body(Operation operation) {
  return operation == Operation::put || operation == Operation::create_token;
}

bool wants_watch(const Target& target) {
  const auto found = target.query.find("watch");
  return found != target.query.end() && found->second == "true";
}

std::string field(const Head& head, std::string_view name) {
  return std::string(head.fields.get(name).value_or(std::string_view()));
}

}  // namespace

ApiCall::ApiCall(Loop& loop, Api& api, StreamRef stream)
    : Task(loop), api_(api), stream_(std::move(stream)) {
  stream_->set_owner(this);
}

ApiCall::~ApiCall() = default;

void ApiCall::run() {
  if (stream_ == nullptr) return;
  if (stream_->failure() != nullptr) {
    // A write that was begun goes on; nobody is left to be told.
    watch_.reset();
    phase_ = Phase::over;
    return stream_.reset();
  }
  if (phase_ == Phase::starting) start();
  if (phase_ == Phase::reading) read();
  if (phase_ == Phase::waiting) wait();
  if (phase_ == Phase::answering) send();
  if (phase_ == Phase::watching && watch_->proceed()) {
    watch_.reset();
    phase_ = Phase::over;
    stream_.reset();
  }
}

void ApiCall::start() {
  if (std::optional<Answer> refusal = understand()) return reply(std::move(*refusal));
  const Head& head = *stream_->head();
  request_.if_match = field(head, "if-match");
  request_.if_none_match = field(head, "if-none-match");
  if (head.expects_continue) {
    stream_->draft().status = 100;
    stream_->send_interim();
  }
  phase_ = Phase::reading;
}

// Who, what and how; nothing: go on.
std::optional<Answer> ApiCall::understand() {
  const Head& head = *stream_->head();
  if (std::optional<Answer> refusal = api_.guard().check(head, loop_.now())) return refusal;
  Found found = find_endpoint(head.method, head.path);
  if (!found.path_exists) {
    return refuse(404, "not_found", "Not found", "no such path; /openapi.json lists what there is");
  }
  if (!found.target) {
    Answer answer = refuse(405, "method_not_allowed", "Method not allowed",
                           "this path has " + found.allow);
    answer.allow = found.allow;
    return answer;
  }
  if (!found.fault.empty()) return refuse(400, "bad_request", "Bad request", found.fault);
  request_.target = std::move(*found.target);
  return check_body();
}

std::optional<Answer> ApiCall::check_body() {
  const Head& head = *stream_->head();
  if (!takes_body(request_.target.endpoint->operation)) {
    if (head.ended || head.content_length.value_or(1) == 0) return std::nullopt;
    return refuse(400, "bad_request", "Bad request", "this request takes no body");
  }
  const std::optional<BodyFormat> format = body_format(head);
  if (!format) {
    return refuse(415, "unsupported_media_type", "Unsupported media type",
                  "content-type must be application/json or application/yaml");
  }
  request_.format = *format;
  if (head.content_length.value_or(0) <= model::kMaxDocumentBytes) return std::nullopt;
  return refuse(413, "too_large", "The body is too large",
                "at most " + std::to_string(model::kMaxDocumentBytes) + " bytes are allowed");
}

void ApiCall::read() {
  while (stream_->readable() > 0) {
    request_.body += stream_->receive(stream_->readable()).to_string();
    if (request_.body.size() > model::kMaxDocumentBytes) {
      return reply(refuse(413, "too_large", "The body is too large",
                          "at most " + std::to_string(model::kMaxDocumentBytes) +
                              " bytes are allowed"));
    }
  }
  if (stream_->ended()) act();
}

void ApiCall::act() {
  if (request_.target.endpoint->operation == Operation::list && wants_watch(request_.target)) {
    if (!api_.may_watch()) {
      return reply(refuse(503, "unavailable", "Too many watches are open", ""));
    }
    api_.count(200);
    watch_ = std::make_unique<WatchStream>(api_, *this, *stream_, request_.target);
    phase_ = Phase::watching;
    return;
  }
  step_ = perform(api_.sources(), request_, *this);
  phase_ = Phase::waiting;
}

void ApiCall::wait() {
  if (step_.write == nullptr) return reply(std::move(step_.answer));
  if (!step_.write->done()) return;
  if (!step_.write->outcome()) return reply(refuse(step_.write->outcome().error()));
  if (step_.show_document) {
    const model::Document& document = *step_.write->document();
    step_.answer.body = model::to_json(document) + "\n";
    step_.answer.etag = "\"" + std::to_string(document.metadata.resource_version) + "\"";
  }
  reply(std::move(step_.answer));
}

void ApiCall::reply(Answer answer) {
  api_.count(answer.status);
  Head& head = stream_->draft();
  head.clear();
  head.status = answer.status;
  head.fields.add(FieldId::content_type, answer.content_type);
  head.fields.add("cache-control", "no-store");
  head.fields.add("x-content-type-options", "nosniff");
  if (!answer.etag.empty()) head.fields.add("etag", answer.etag);
  if (!answer.error.empty()) head.fields.add(FieldId::tulle_error, answer.error);
  if (!answer.allow.empty()) head.fields.add("allow", answer.allow);
  if (answer.retry_after > 0) head.fields.add("retry-after", std::to_string(answer.retry_after));
  if (answer.status == 401) head.fields.add("www-authenticate", "Bearer");
  head.content_length = answer.body.size();
  if (stream_->head()->method == Method::head) answer.body.clear();
  head.ended = answer.body.empty();
  rest_ = std::move(answer.body);
  stream_->send_head();
  phase_ = Phase::answering;
}

void ApiCall::send() {
  while (sent_ < rest_.size()) {
    const size_t room = stream_->room();
    if (room == 0) return;
    const std::string_view part = std::string_view(rest_).substr(sent_, room);
    stream_->send(Bytes(part));
    sent_ += part.size();
  }
  if (!stream_->finished()) stream_->finish();
  phase_ = Phase::over;
  stream_.reset();
}

}  // namespace tulle::api
