// Bytes into an HTTP/2 codec, cut anywhere, with handlers that behave in every way they may.
//
// Input: role, cut, manners, pause, then wire bytes. A server's input has the preface in front of it
// when the second bit of the role is set, so that the fuzzer need not find it. Checked: whatever
// reaches a handler is well-formed and within limits, what we hold and owe is bounded, and a codec
// that has finished stays silent.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/assert.hpp"
#include "core/http/codec.hpp"

namespace tulle {
namespace {

// The client's preface and empty SETTINGS.
constexpr std::string_view kHello("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);

constexpr size_t kTurns = 100;  // enough to get anywhere, and keeps one input fast

bool is_token(std::string_view text) {
  for (char c : text) {
    if (c <= ' ' || c == 0x7f || (c >= 'A' && c <= 'Z')) return false;
  }
  return !text.empty();
}

void check_fields(const Fields& fields, size_t max_count, size_t max_weight) {
  ASSERT(fields.size() <= max_count && fields.weight() <= max_weight);
  for (const Fields::Field field : fields) {
    ASSERT(is_token(field.name) && field.name.front() != ':');
    ASSERT(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    ASSERT(field.id != FieldId::connection && field.id != FieldId::transfer_encoding);
    ASSERT(field.id != FieldId::host && field.id != FieldId::content_length);
  }
}

void check_request(const Head& head, const HttpLimits& limits) {
  check_fields(head.fields, limits.head_fields, limits.head_weight);
  ASSERT(!head.method_text.empty() && head.method_text.find(' ') == std::string::npos);
  ASSERT(!head.authority.empty() && head.scheme == "http");
  if (head.method == Method::connect) {
    ASSERT(head.path.empty());
  } else {
    ASSERT(head.path == "*" || head.path.front() == '/');
    for (char c : head.path) ASSERT(c > ' ' && c < 0x7f && c != '#' && c != '\\');
  }
}

class Session {
 public:
  Session(bool server, uint8_t manners)
      : manners_(manners),
        server_(server),
        codec_(make_http2_codec(server ? Codec::Role::server : Codec::Role::client, limits_,
                                "http")) {}

  void feed(std::string_view bytes) {
    now_ = now_ + 1ms;
    if (codec_->finished()) return;
    const bool good = codec_->read(bytes, now_).has_value();
    while (Stream* stream = codec_->accept()) {
      ASSERT(server_ && stream->head() != nullptr);
      check_request(*stream->head(), limits_);
      streams_.emplace_back(stream);
      answer(*stream);
    }
    for (StreamRef& stream : streams_) check(*stream);
    if (!good) {
      drain();
      ASSERT(codec_->finished() && codec_->open_streams() == 0);
    }
  }

  // What a connection and its handlers do between two reads.
  void turn(size_t number) {
    if (!server_ && streams_.size() < 8) ask(number);
    if ((manners_ & 1) != 0) {
      for (StreamRef& stream : streams_) stream->receive(number % 3 == 0 ? 100 : SIZE_MAX);
    }
    if ((manners_ & 2) != 0 && !streams_.empty() && number % 4 == 3) {
      streams_.erase(streams_.begin() + static_cast<ptrdiff_t>(number % streams_.size()));
    }
    if ((manners_ & 4) != 0 && number == 5) codec_->retire();
    if ((manners_ & 8) != 0 && number == 7) codec_->probe();
    if ((manners_ & 16) != 0 && number == 9) codec_->timed_out(codec_->waiting());
    for (StreamRef& stream : streams_) go_on(*stream);
    Bytes wire;
    codec_->write(wire, (manners_ & 32) != 0 ? 100 : 65536);
    ASSERT(wire.size() < (1u << 20));
  }

  void drain() {
    for (int i = 0; i < 10000 && codec_->wants_write(); ++i) {
      Bytes wire;
      codec_->write(wire, 1 << 20);
    }
  }

  void end() {
    codec_->end_of_input(std::nullopt);
    ASSERT(codec_->finished() && codec_->open_streams() == 0);
    for (StreamRef& stream : streams_) {
      ASSERT(stream->failure() != nullptr || stream->cancelled() || stream->closed_by_codec());
    }
    if ((manners_ & 64) != 0) streams_.clear();
    Bytes wire;
    codec_->write(wire, SIZE_MAX / 2);
    ASSERT(wire.empty());
  }

 private:
  void check(const Stream& stream) {
    ASSERT(stream.readable() <= std::max<size_t>(limits_.stream_window_max, 65535));
    if (!server_ && stream.head() != nullptr) {
      check_fields(stream.head()->fields, limits_.head_fields, limits_.head_weight);
      ASSERT(stream.head()->status >= 200 || stream.head()->status == 101);
    }
    if (stream.arrived()) {
      check_fields(stream.trailers(), limits_.trailer_fields, limits_.trailer_weight);
      if (stream.head() != nullptr && stream.head()->content_length && server_) {
        ASSERT(stream.bytes_received() == *stream.head()->content_length);
      }
    }
  }

  void answer(Stream& stream) {
    if ((manners_ & 128) != 0) return;
    if (stream.head()->expects_continue) {
      stream.draft().status = 100;
      stream.send_interim();
    }
    stream.draft().status = stream.head()->protocol.empty() ? 200 : 101;
    stream.draft().fields.add("server", "fuzz");
    stream.send_head();
  }

  void ask(size_t number) {
    Stream* stream = codec_->open();
    if (stream == nullptr) return;
    streams_.emplace_back(stream);
    Head& head = stream->draft();
    head.method = number % 2 == 0 ? Method::get : Method::head;
    head.method_text = number % 2 == 0 ? "GET" : "HEAD";
    head.path = "/";
    head.authority = "a";
    if (number == 4) head.protocol = "websocket";
    head.ended = number < 4;
    stream->send_head();
  }

  void go_on(Stream& stream) {
    while (const Head* interim = stream.interim()) {
      ASSERT(interim->status >= 100 && interim->status < 200);
      stream.drop_interim();
    }
    if (!stream.head_sent() || stream.finished() || stream.failure() != nullptr) return;
    const size_t room = std::min<size_t>(stream.room(), 5000);
    stream.send(Bytes(std::string(room, 'b')));
    if (!stream.arrived()) return;
    if (stream.bytes_sent() % 2 == 0) stream.draft_trailers().add("x-sum", "1");
    stream.finish();
  }

  HttpLimits limits_;
  const uint8_t manners_;
  const bool server_;
  std::unique_ptr<Codec> codec_;
  std::vector<StreamRef> streams_;  // let go before, or after, the codec has finished with them
  Instant now_{1};
};

void run(std::string_view input) {
  if (input.size() < 4) return;
  const bool server = (input[0] & 1) == 0;
  const size_t cut = static_cast<uint8_t>(input[1]);
  const auto pause = static_cast<size_t>(static_cast<uint8_t>(input[3])) + 1;
  Session session(server, static_cast<uint8_t>(input[2]));
  if (server && (input[0] & 2) != 0) session.feed(kHello);
  input.remove_prefix(4);
  size_t number = 0;
  while (!input.empty()) {
    const size_t size = cut == 0 ? input.size() : std::min(cut, input.size());
    session.feed(input.substr(0, size));
    input.remove_prefix(size);
    if (++number % pause == 0 && number / pause <= kTurns) session.turn(number / pause);
  }
  for (size_t i = 0; i < 12; ++i) session.turn(i);
  session.end();
}

}  // namespace
}  // namespace tulle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  tulle::run({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
