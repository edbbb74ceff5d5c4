// HTTP/1 requests: whatever comes is understood in one way, however it is cut up, and what is
// understood can be said again and means the same.
//
// Input: one byte, the number of cuts (mod 8); so many bytes that place them; the wire.
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
using testing::trailers_that_go_on;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

struct Outcome {
  std::vector<SeenRequest> complete;
  std::string answers;
  bool finished = false;
};

Outcome outcome_of(Http1Driver& driver) {
  driver.end_input();
  Outcome outcome;
  for (const SeenRequest& seen : driver.seen) {
    if (seen.arrived && !seen.failure) outcome.complete.push_back(seen);
  }
  // Which of several violations is named may depend on the cuts; that there was one may not.
  outcome.answers = driver.output.substr(0, driver.output.find("tulle-error"));
  if (const size_t status = outcome.answers.rfind("HTTP/1.1 "); status != std::string::npos &&
      outcome.answers.size() < driver.output.size()) {
    outcome.answers.resize(status);
  }
  outcome.finished = driver.codec->finished();
  return outcome;
}

// Forwards what was understood as an exchange does, says it with the client codec, and reads that.
void check_round_trip(const SeenRequest& seen) {
  if (seen.authority.empty() || !seen.protocol.empty() || seen.method == "CONNECT") return;
  const HttpLimits limits;
  const auto client = make_http1_codec(Codec::Role::client, limits, "http");
  StreamRef up(client->open());
  Head head;
  head.method = method_of(seen.method);
  head.method_text = seen.method;
  head.authority = seen.authority;
  head.path = seen.path;
  head.content_length = seen.content_length;
  head.ended = seen.head_ended;
  head.expects_continue = seen.expects_continue;
  add_lines(seen.fields, head.fields);
  forward_request(head, up->draft(), {});
  SeenRequest expected = seen;
  expected.fields = testing::text_of(up->draft().fields);
  up->send_head();
  std::string wire;
  std::string_view body = seen.body;
  for (int i = 0; i < 100'000; ++i) {
    if (!head.ended) {
      const size_t n = std::min(up->room(), body.size());
      up->send(Bytes(body.substr(0, n)));
      body.remove_prefix(n);
      if (body.empty() && !up->finished()) {
        add_lines(trailers_that_go_on(seen.trailers), up->draft_trailers());
        up->finish();
      }
    }
    Bytes out;
    client->write(out, 100'000);
    wire += out.to_string();
    if (up->departed() || up->failure() != nullptr) break;
  }
  // gRPC is not said in HTTP/1.
  if (up->failure() != nullptr && up->failure()->code == Code::not_implemented) return;
  check(up->departed(), "what was understood can be said");
  HttpLimits roomier;  // ours adds the few fields that framing needs
  roomier.head_fields += 8;
  roomier.head_weight += 1024;
  Http1Driver again(roomier);
  again.feed(wire);
  check(again.seen.size() == 1, "one request was said");
  expected.version = Version::http11;
  expected.trailers = trailers_that_go_on(seen.trailers);
  const bool empty_announced =
      seen.head_ended && (seen.method == "POST" || seen.method == "PUT" || seen.method == "PATCH");
  if (empty_announced) expected.content_length = 0;
  check(again.seen.front() == expected, "the same request was said");
}

}  // namespace
}  // namespace tulle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tulle;
  if (size < 9) return 0;
  const size_t cuts = data[0] % 8;
  const uint8_t* places = data + 1;
  std::string_view wire(reinterpret_cast<const char*>(data) + 1 + cuts, size - 1 - cuts);

  Http1Driver whole;
  whole.feed(wire);
  const Outcome at_once = outcome_of(whole);

  Http1Driver cut;
  for (size_t i = 0; i < cuts && !wire.empty(); ++i) {
    const size_t piece = std::min<size_t>(places[i] + 1u, wire.size());
    cut.feed(wire.substr(0, piece), i == 0 ? 1 : 0);
    wire.remove_prefix(piece);
  }
  cut.feed(wire);
  const Outcome in_pieces = outcome_of(cut);

  check(at_once.complete == in_pieces.complete, "the same requests, whole and in pieces");
  check(at_once.answers == in_pieces.answers, "the same answers");
  check(at_once.finished == in_pieces.finished, "the same end");
  for (const auto& seen : at_once.complete) check_round_trip(seen);
  return 0;
}
