#include "core/http/grpc_stream.hpp"

#include <utility>

#include "core/http/reply.hpp"
#include "core/net/task.hpp"

namespace tulle {

namespace {

constexpr std::string_view kContentType = "application/grpc";

std::string_view encoding_of(const Head& head) {
  return head.fields.get("grpc-encoding").value_or(std::string_view{});
}

}  // namespace

Head grpc_request_head(std::string_view scheme, std::string_view authority, std::string_view path) {
  Head head;
  head.method = Method::post;
  head.method_text = "POST";
  head.scheme = scheme;
  head.authority = authority;
  head.path = path;
  head.fields.add(FieldId::te, "trailers");
  head.fields.add(FieldId::content_type, kContentType);
  head.fields.add("grpc-accept-encoding", "identity");
  return head;
}

GrpcStream::GrpcStream(StreamRef stream, Task& owner, size_t max_message)
    : stream_(std::move(stream)), server_(true), max_message_(max_message) {
  stream_->set_owner(&owner);
  const Head& request = *stream_->head();
  const bool post = request.method == Method::post;
  if (post && is_grpc(request)) {
    reader_.emplace(max_message_, encoding_of(request));
    return;
  }
  send_text_reply(*stream_, post ? 415 : 405, "text/plain",
                  post ? "this is a gRPC service: content-type application/grpc is needed\n"
                       : "this is a gRPC service: POST is needed\n");
  status_ = {GrpcCode::internal, "not a gRPC call"};
}

GrpcStream::GrpcStream(StreamRef stream, Task& owner, size_t max_message, const Head& request)
    : stream_(std::move(stream)), server_(false), max_message_(max_message) {
  stream_->set_owner(&owner);
  stream_->draft() = request;
  stream_->send_head();
}

void GrpcStream::advance() {
  if (!server_ && !reader_) look_at_answer();
  if (!writer_.idle()) writer_.write(*stream_);
  if (writer_.idle() && finishing_ && !stream_->finished()) {
    if (server_ && !stream_->head_sent()) {
      Head& head = stream_->draft();
      head.status = 200;
      head.fields.add(FieldId::content_type, kContentType);
      add_status(head.fields, *last_words_);
      head.ended = true;
      stream_->send_head();
    } else {
      if (server_) add_status(stream_->draft_trailers(), *last_words_);
      stream_->finish();
    }
  }
}

// Client: from here on the answer is read, or it is none.
void GrpcStream::look_at_answer() {
  while (stream_->interim() != nullptr) stream_->drop_interim();
  const Head* head = stream_->head();
  if (head == nullptr) {
    if (const Error* failure = stream_->failure()) end_with(status_of_failure(*failure));
    return;
  }
  if (head->status == 200 && is_grpc(*head)) {
    reader_.emplace(max_message_, encoding_of(*head));
    return;
  }
  // Proxies answer like this.
  std::optional<GrpcStatus> status = status_in(head->fields);
  end_with(status ? std::move(*status) : status_of_http(head->status));
}

std::optional<std::string> GrpcStream::receive() {
  if (status_ || !reader_) return std::nullopt;
  reader_->read(*stream_);
  if (reader_->state() == GrpcReader::State::whole) return reader_->take();
  look_for_end();
  return std::nullopt;
}

// Everything that has come was read, and it is no whole message.
void GrpcStream::look_for_end() {
  if (reader_->state() == GrpcReader::State::broken) return end_with(reader_->problem());
  if (stream_->ended()) {
    if (reader_->state() == GrpcReader::State::partial) {
      return end_with({GrpcCode::internal, "the stream ended within a message"});
    }
    if (server_) return end_with({});
    std::optional<GrpcStatus> status = status_in(stream_->trailers());
    if (!status) status = status_in(stream_->head()->fields);  // trailers-only
    return end_with(status ? std::move(*status)
                           : GrpcStatus{GrpcCode::internal, "the answer has no grpc-status"});
  }
  if (const Error* failure = stream_->failure()) end_with(status_of_failure(*failure));
}

void GrpcStream::end_with(GrpcStatus status) {
  if (status_) return;
  status_ = std::move(status);
  if (status_->ok()) return;
  if (server_) {
    finish(*status_);
  } else if (!stream_->ended()) {
    stream_->cancel(Code::cancelled);
  }
}

bool GrpcStream::can_send() const { return writer_.idle() && !finishing_ && !over(); }

void GrpcStream::start_answer() {
  if (!server_ || stream_->head_sent()) return;
  Head& head = stream_->draft();
  head.status = 200;
  head.fields.add(FieldId::content_type, kContentType);
  stream_->send_head();
}

void GrpcStream::open() { start_answer(); }

void GrpcStream::send(std::string message) {
  start_answer();
  writer_.begin(std::move(message));
  advance();
}

void GrpcStream::finish() {
  ASSERT(!server_);
  finishing_ = true;
  advance();
}

void GrpcStream::finish(const GrpcStatus& status) {
  ASSERT(server_);
  if (finishing_) return;
  finishing_ = true;
  last_words_ = status;
  advance();
}

bool GrpcStream::over() const {
  if (stream_->failure() != nullptr) return true;
  return server_ ? stream_->finished() : ended();
}

}  // namespace tulle
