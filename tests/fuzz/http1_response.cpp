// HTTP/1 responses: whatever an upstream says is understood in one way, however it is cut up; what
// was complete can be said again and means the same; nothing broken is ever complete.
//
// Input: one byte, what was asked (mod 4) and the number of cuts; so many bytes that place them;
// the wire.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/support/http1_driver.hpp"

namespace tulle {
namespace {

using testing::Http1Driver;
using testing::SeenRequest;
using testing::add_lines;
using testing::text_of;
using testing::trailers_that_go_on;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

enum class Asked { get, head, upgrade, connect };

struct Response {
  int status = 0;
  std::string fields;
  std::string protocol;
  std::string body;
  std::string trailers;
  std::optional<uint64_t> length;
  size_t interims = 0;
  bool ended_with_head = false;
  bool complete = false;
  bool reusable = false;
  bool operator==(const Response&) const = default;
};

class Asker {
 public:
  explicit Asker(Asked what, const HttpLimits& limits = {})
      : limits_(limits), codec_(make_http1_codec(Codec::Role::client, limits_, "http")) {
    stream_.reset(codec_->open());
    Head& head = stream_->draft();
    head.method_text = what == Asked::head ? "HEAD" : what == Asked::connect ? "CONNECT" : "GET";
    head.method = method_of(head.method_text);
    head.path = what == Asked::connect ? "" : "/";
    head.authority = "a:1";
    head.ended = what == Asked::get || what == Asked::head;
    if (what == Asked::upgrade) head.protocol = "websocket";
    stream_->send_head();
    Bytes wire;
    codec_->write(wire, 100'000);
    request = wire.to_string();
  }
  ~Asker() { stream_.reset(); }

  void feed(std::string_view bytes) {
    const bool read = codec_->read(bytes, Instant{1}).has_value();
    check(read || stream_->failure() || stream_->ended(), "read fails with its stream");
    settle();
  }

  Response end() {
    const bool open = !codec_->finished();
    codec_->end_of_input(std::nullopt);
    settle();
    response_.complete = stream_->ended() && stream_->failure() == nullptr;
    if (!response_.complete) return {};
    const Head& head = *stream_->head();
    response_.status = head.status;
    response_.fields = text_of(head.fields);
    response_.protocol = head.protocol;
    response_.length = head.content_length;
    response_.ended_with_head = head.ended;
    response_.trailers = text_of(stream_->trailers());
    response_.reusable = open;
    return response_;
  }

  std::string request;

 private:
  // Until taking brings nothing more.
  void settle() {
    for (size_t before = SIZE_MAX; before != response_.body.size();) {
      before = response_.body.size();
      take();
      Bytes wire;
      codec_->write(wire, 100'000);
    }
  }

  void take() {
    while (stream_->interim() != nullptr) {
      ++response_.interims;
      stream_->drop_interim();
    }
    response_.body += stream_->receive(SIZE_MAX).to_string();
  }

  const HttpLimits limits_;
  std::unique_ptr<Codec> codec_;
  StreamRef stream_;
  Response response_;
};

// Says the response with the server codec, and reads that.
void check_round_trip(const Response& said, Asked asked) {
  HttpLimits roomier;  // ours adds the few fields that framing needs
  roomier.head_fields += 8;
  roomier.head_weight += 1024;
  Asker again(asked, roomier);
  Http1Driver server;
  bool sent = false;
  server.handler = [&, at = size_t{0}](Stream& stream, SeenRequest&) mutable {
    if (!std::exchange(sent, true)) {
      Head& head = stream.draft();
      head.status = said.status;
      head.content_length = said.length;
      head.ended = said.ended_with_head;
      add_lines(said.fields, head.fields);
      if (!head.fields.has(FieldId::date)) head.fields.add(FieldId::date, "never");
      stream.send_head();
    }
    const size_t n = std::min(stream.room(), said.body.size() - at);
    stream.send(Bytes(std::string_view(said.body).substr(at, n)));
    at += n;
    if (at < said.body.size()) return false;
    if (!stream.finished()) {
      add_lines(trailers_that_go_on(said.trailers), stream.draft_trailers());
      stream.finish();
    }
    return stream.departed();
  };
  server.feed(again.request);
  check(sent, "the request was understood");
  again.feed(server.output);
  const Response heard = again.end();
  check(heard.complete, "what was complete stays complete");
  check(heard.status == said.status && heard.body == said.body, "the same status and body");
  check(heard.protocol == said.protocol, "the same protocol");
  std::string expected = said.fields;
  if (("\n" + expected).find("\ndate=") == std::string::npos) expected += "date=never\n";
  check(heard.fields == expected, "the same fields");
  check(heard.trailers == trailers_that_go_on(said.trailers), "the same trailers");
}

}  // namespace
}  // namespace tulle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tulle;
  if (size < 9) return 0;
  const Asked asked = static_cast<Asked>(data[0] % 4);
  const size_t cuts = (data[0] >> 2) % 8;
  const uint8_t* places = data + 1;
  std::string_view wire(reinterpret_cast<const char*>(data) + 1 + cuts, size - 1 - cuts);

  Asker whole(asked);
  whole.feed(wire);
  const Response at_once = whole.end();

  Asker cut(asked);
  for (size_t i = 0; i < cuts && !wire.empty(); ++i) {
    const size_t piece = std::min<size_t>(places[i] + 1u, wire.size());
    for (size_t n = 0; n < piece; ++n) cut.feed(wire.substr(n, 1));
    wire.remove_prefix(piece);
  }
  cut.feed(wire);
  const Response in_pieces = cut.end();

  check(at_once == in_pieces, "the same response, whole and in pieces");
  if (at_once.complete) check_round_trip(at_once, asked);
  return 0;
}
