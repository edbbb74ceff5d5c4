// Http1Driver: feeds bytes to an HTTP/1 server codec, whole or in pieces, answers what it accepts
// and writes down everything. The codec sees what a Connection would do in each turn.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/http/codec.hpp"
#include "core/http/forms.hpp"
#include "tests/support/field_text.hpp"

namespace tulle::testing {

// What text_of() has written.
inline void add_lines(std::string_view lines, Fields& to) {
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(line.size() + 1);
    // A name may hold no "=", a value may.
    to.add(line.substr(0, line.find('=')), line.substr(line.find('=') + 1));
  }
}

// What is left of trailers behind a hop.
inline std::string trailers_that_go_on(std::string_view lines) {
  Fields came, gone;
  add_lines(lines, came);
  forward_trailers(came, gone);
  return text_of(gone);
}

// What a handler could see of one request.
struct SeenRequest {
  std::string method;
  std::string authority;
  std::string path;
  std::string protocol;
  std::string fields;
  Version version = Version::http11;
  std::optional<uint64_t> content_length;
  bool head_ended = false;
  bool expects_continue = false;
  std::string body;
  std::string trailers;
  bool arrived = false;
  std::optional<Code> failure;

  bool operator==(const SeenRequest&) const = default;
};

class Http1Driver {
 public:
  // Called again and again until the stream is dropped: drop it by returning true.
  using Handler = std::function<bool(Stream&, SeenRequest&)>;

  explicit Http1Driver(HttpLimits limits_to_use = {}, std::string_view scheme = "http")
      : limits(limits_to_use), codec(make_http1_codec(Codec::Role::server, limits, scheme)) {}
  ~Http1Driver() { open_.clear(); }

  // Answers 200 "ok" when the request is all here.
  static bool answer_ok(Stream& stream, SeenRequest& seen) {
    if (stream.failure() != nullptr) return true;
    if (!seen.arrived) return false;
    Head& head = stream.draft();
    head.status = 200;
    head.fields.add(FieldId::date, "now");
    head.content_length = 2;
    stream.send_head();
    if (stream.head()->method != Method::head) stream.send(Bytes("ok"));
    stream.finish();
    return true;
  }

  void feed(std::string_view bytes, size_t piece = 0) {
    if (piece == 0) piece = std::max<size_t>(bytes.size(), 1);
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
      if (!codec->read(bytes.substr(0, piece), now)) read_failed = true;
      turn();
    }
  }

  void end_input() {
    codec->end_of_input(std::nullopt);
    turn();
  }

  // Until nobody has anything to do.
  void turn() {
    for (int rounds = 0; rounds < 1000; ++rounds) {
      bool progress = false;
      while (Stream* stream = codec->accept()) {
        open_.push_back({StreamRef(stream), seen.size()});
        seen.push_back(describe(*stream->head()));
        progress = true;
      }
      for (Open& open : open_) progress = serve(open) || progress;
      std::erase_if(open_, [](const Open& open) { return open.stream == nullptr; });
      if (codec->wants_write() || progress) progress = flush() || progress;
      if (!progress) return;
    }
  }

  bool flush() {
    Bytes wire;
    codec->write(wire, write_limit);
    output += wire.to_string();
    return !wire.empty();
  }

  Stream* stream() { return open_.empty() ? nullptr : open_.front().stream.get(); }
  size_t open_streams() const { return open_.size(); }
  void drop_all() { open_.clear(); }

  HttpLimits limits;
  std::unique_ptr<Codec> codec;
  Instant now{1'000'000'000};
  size_t write_limit = 1 << 20;
  Handler handler = answer_ok;
  bool taking = true;            // take bodies as they come
  bool read_failed = false;
  std::vector<SeenRequest> seen;
  std::string output;

 private:
  struct Open {
    StreamRef stream;
    size_t index;
  };

  static SeenRequest describe(const Head& head) {
    SeenRequest seen;
    seen.method = head.method_text;
    seen.authority = head.authority;
    seen.path = head.path;
    seen.protocol = head.protocol;
    seen.fields = text_of(head.fields);
    seen.version = head.version;
    seen.content_length = head.content_length;
    seen.head_ended = head.ended;
    seen.expects_continue = head.expects_continue;
    return seen;
  }

  // True when something moved.
  bool serve(Open& open) {
    if (open.stream == nullptr) return false;
    SeenRequest& request = seen[open.index];
    Stream& stream = *open.stream;
    const Bytes taken = taking ? stream.receive(SIZE_MAX) : Bytes();
    request.body += taken.to_string();
    const bool arrived = stream.ended();
    bool moved = !taken.empty() || arrived != request.arrived;
    request.arrived = arrived;
    if (arrived) request.trailers = text_of(stream.trailers());
    if (stream.failure() != nullptr) request.failure = stream.failure()->code;
    if (handler(stream, request)) {
      open.stream.reset();
      moved = true;
    }
    return moved;
  }

  std::vector<Open> open_;
};

}  // namespace tulle::testing
