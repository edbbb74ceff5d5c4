// HTTP/2 to HTTP/1 to HTTP/2: what a chain of two proxies understands of a request is what its sender
// said, and the answer that comes back is what the last one said.
//
//   frames -> server(h2) -> client(h1) -> server(h1) -> client(h2) -> server(h2)
//
// Input: one byte of manners, one that cuts, then up to six parts with an empty line between them:
// request fields ("name: value" lines, pseudo fields among them), body, trailers; the same of the
// answer. A part of fields is written as it is, so it may hold what no client would send.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/http/authority.hpp"
#include "core/http/canonical_path.hpp"
#include "core/http/codec.hpp"
#include "core/http/forms.hpp"
#include "core/http/framing_guard.hpp"
#include "tests/support/http2_frames.hpp"

namespace tulle {
namespace {

constexpr Instant kNow{1'000'000'000};

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

struct Input {
  uint8_t manners = 0;
  size_t cut = 0;
  std::vector<std::string> parts;

  explicit Input(std::string_view bytes) {
    manners = static_cast<uint8_t>(bytes[0]);
    cut = static_cast<uint8_t>(bytes[1]);
    bytes.remove_prefix(2);
    while (parts.size() < 6) {
      const size_t end = parts.size() == 5 ? std::string_view::npos : bytes.find("\n\n");
      parts.emplace_back(bytes.substr(0, end));
      bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 2);
    }
  }
  bool manner(uint8_t bit) const { return (manners & bit) != 0; }
};
enum Manner : uint8_t { kSayLength = 1, kEndWithHead = 2, kInterim = 4, kStrict = 8 };

h2::FieldList fields_of(std::string_view part) {
  h2::FieldList fields;
  while (!part.empty()) {
    const std::string_view line = part.substr(0, part.find('\n'));
    part.remove_prefix(std::min(line.size() + 1, part.size()));
    const size_t colon = line.find(": ", 1);
    if (colon == std::string_view::npos) {
      fields.emplace_back(std::string(line), "");
    } else {
      fields.emplace_back(std::string(line.substr(0, colon)), std::string(line.substr(colon + 2)));
    }
  }
  return fields;
}

// A message as somebody has received it, in a form that can be compared.
struct Message {
  std::string start;
  std::vector<std::string> fields;
  std::string body;
  std::vector<std::string> trailers;
  bool operator==(const Message&) const = default;
};

std::vector<std::string> lines_of(const Fields& fields) {
  std::vector<std::string> lines;
  for (const Fields::Field field : fields) {
    if (field.id == FieldId::date) continue;  // the writer adds one
    lines.push_back(std::string(field.name) + ": " + std::string(field.value));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

Message message_of(const Head& head, const std::string& body, const Fields& trailers) {
  Message message;
  message.start = head.is_request()
                      ? head.method_text + " " + head.authority + " " + head.path
                      : std::to_string(head.status);
  message.fields = lines_of(head.fields);
  message.body = body;
  message.trailers = lines_of(trailers);
  return message;
}

// One connection between two codecs of ours, or from bytes to one.
struct Hop {
  HttpLimits limits;
  std::unique_ptr<Codec> client;
  std::unique_ptr<Codec> server;
  StreamRef near;   // the client's stream
  StreamRef far;    // the server's
  std::string near_body, far_body;
  size_t cut = 0;

  Hop(bool http2, size_t cut_at) : cut(cut_at) {
    limits.head_fields += 16;  // every hop may add a few
    limits.head_weight += 2048;
    limits.request_line += 1024;
    const auto make = http2 ? &make_http2_codec : &make_http1_codec;
    client = make(Codec::Role::client, limits, "http");
    server = make(Codec::Role::server, limits, "http");
  }
  ~Hop() {
    near.reset();
    far.reset();
  }

  static std::string written(Codec& codec) {
    Bytes wire;
    codec.write(wire, 1 << 20);
    return wire.to_string();
  }
  void feed(Codec& codec, std::string_view bytes) const {
    const size_t piece = cut == 0 ? std::max<size_t>(bytes.size(), 1) : cut;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
      (void)codec.read(bytes.substr(0, piece), kNow);
    }
  }
  static void take(StreamRef& stream, std::string& body) {
    if (stream != nullptr && stream->readable() > 0) body += stream->receive(SIZE_MAX).to_string();
  }
  void turn() {
    for (int i = 0; i < 100; ++i) {
      const std::string there = written(*client);
      feed(*server, there);
      if (Stream* stream = server->accept()) far.reset(stream);
      take(far, far_body);
      const std::string back = written(*server);
      feed(*client, back);
      take(near, near_body);
      if (there.empty() && back.empty()) return;
    }
  }
  const Fields& nothing() const {
    static const Fields none;
    return none;
  }
  Message request() const {
    return message_of(*far->head(), far_body, far->arrived() ? far->trailers() : nothing());
  }
  Message answer() const {
    return message_of(*near->head(), near_body, near->arrived() ? near->trailers() : nothing());
  }
};

void send_body(Stream& stream, std::string_view body, const Fields& trailers) {
  if (stream.finished() || stream.draft().ended) return;
  check(stream.room() >= body.size(), "the body fits");
  if (!body.empty()) stream.send(Bytes(body));
  forward_trailers(trailers, stream.draft_trailers());
  stream.finish();
}

// Passes on what `from` has received. False: it cannot be said there.
bool pass_request(Hop& from, Hop& to) {
  const Head& head = *from.far->head();
  to.near.reset(to.client->open());
  if (to.near == nullptr) return false;
  forward_request(head, to.near->draft(), {});
  const bool ended = to.near->draft().ended;
  to.near->send_head();
  if (!ended) send_body(*to.near, from.far_body, from.far->trailers());
  to.turn();
  return to.near->failure() == nullptr;
}

void pass_answer(Hop& from, Hop& to) {
  Head& head = to.far->draft();
  forward_response(*from.near->head(), head, {});
  const bool ended = head.ended;
  to.far->send_head();
  if (!ended) send_body(*to.far, from.near_body, from.near->trailers());
  to.turn();
}

// What the next proxy must have understood when this one has understood `head`.
Message expected_request(Hop& from) {
  const Head& head = *from.far->head();
  Head next;
  forward_request(head, next, {});
  Fields trailers;
  // Behind a length that announces none they are dropped (RFC 9110, 6.5.1).
  const bool kept = !head.content_length || head.fields.has(FieldId::trailer);
  if (kept && !head.ended) forward_trailers(from.far->trailers(), trailers);
  return message_of(next, from.far_body, trailers);
}

bool sayable(std::string_view name, std::string_view value) {
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') return false;
  }
  return is_token(name) && is_field_value(value) && trimmed(value) == value;
}

void fill(Fields& fields, std::string_view part) {
  for (const auto& [name, value] : fields_of(part)) {
    if (!sayable(name, value) || fields.size() >= 40) continue;
    if (field_id(name) == FieldId::connection || field_id(name) == FieldId::te) continue;
    if (name.find('_') != std::string::npos) continue;
    fields.add(name, value);
  }
}

void send_answer(const Input& input, Hop& last) {
  Stream& stream = *last.far;
  if (input.manner(kInterim)) {
    stream.draft().status = 103;
    stream.draft().fields.add("link", "x");
    stream.send_interim();
  }
  Head& head = stream.draft();
  const std::string& part = input.parts[3];
  head.status = 200 + (part.empty() ? 0 : static_cast<unsigned char>(part[0]) * 3 % 400);
  fill(head.fields, std::string_view(part).substr(std::min<size_t>(1, part.size())));
  const bool bodiless = head.status == 204 || head.status == 304 ||
                        stream.head()->method == Method::head;
  const std::string body = bodiless ? "" : input.parts[4].substr(0, 4000);
  Fields trailers;
  if (!bodiless) fill(trailers, input.parts[5]);
  head.ended = body.empty() && trailers.size() == 0;
  if (input.manner(kSayLength) && !bodiless) head.content_length = body.size();
  const bool ended = head.ended;
  stream.send_head();
  if (!ended) send_body(stream, body, trailers);
  last.turn();
}

// `first` gets the request as frames; its client is there to read the answer.
bool begin(const Input& input, Hop& first) {
  first.turn();  // both have said hello
  const h2::FieldList head = fields_of(input.parts[0]);
  const h2::FieldList trailers = fields_of(input.parts[2]);
  const std::string body = input.parts[1].substr(0, 4000);
  const bool whole = input.manner(kEndWithHead);
  std::string wire = h2::headers(1, head, whole ? h2::kEndStream | h2::kEndHeaders : h2::kEndHeaders);
  if (!whole) {
    wire += h2::data(1, body, trailers.empty() ? h2::kEndStream : 0);
    if (!trailers.empty()) wire += h2::headers(1, trailers);
  }
  first.feed(*first.server, wire);
  Stream* stream = first.server->accept();
  if (stream == nullptr) return false;
  first.far.reset(stream);
  Hop::take(first.far, first.far_body);
  // Resets are on their way out.
  const std::string refused = Hop::written(*first.server);
  return stream->failure() == nullptr && stream->arrived();
}

// The answer of stream 1 in the eyes of a client that has asked something like it.
void open_like(Hop& first, Hop& asked) {
  asked.near.reset(asked.client->open());
  Head& head = asked.near->draft();
  const Head& request = *first.far->head();
  head.method = request.method;
  head.method_text = request.method_text;
  head.authority = "a";
  head.path = "/";
  head.ended = true;
  asked.near->send_head();
  asked.turn();
}

void run(std::string_view bytes) {
  if (bytes.size() < 2) return;
  const Input input(bytes);
  Hop first(true, input.cut);
  if (!begin(input, first)) return;
  Head& head = first.far->amend_head();
  if (!head.protocol.empty() || head.method == Method::connect) return;
  const PathRules rules{input.manner(kStrict), input.manner(kStrict)};
  canonicalise_authority(head.authority);
  if (canonicalise_path(head.path, rules) != nullptr) return;

  Hop middle(false, input.cut);
  if (!pass_request(first, middle)) {
    check(middle.far == nullptr, "what cannot be said is not begun");
    return;
  }
  if (middle.far == nullptr) {
    // A method that nobody knows is the one thing that HTTP/1 requests may not have here.
    const std::vector<Refused> refused = middle.server->take_refused();
    check(refused.size() == 1 && refused[0].code == Code::not_implemented,
          "HTTP/1 understands what HTTP/2 said");
    return;
  }
  check(middle.far->arrived(), "HTTP/1 understands all of what HTTP/2 said");
  check(middle.request() == expected_request(first), "the same request, in HTTP/1");

  Hop last(true, input.cut);
  check(pass_request(middle, last), "HTTP/2 can say what HTTP/1 said");
  check(last.far != nullptr && last.far->arrived(), "HTTP/2 understands what HTTP/1 said");
  check(last.request() == expected_request(middle), "the same request, in HTTP/2 again");

  send_answer(input, last);
  if (last.near->failure() != nullptr) return;  // it was no answer that HTTP/2 has
  check(last.near->arrived(), "the answer is complete");
  pass_answer(last, middle);
  check(middle.near->head() != nullptr && middle.near->arrived(), "HTTP/1 understands the answer");
  const bool dropped = last.near->head()->content_length.has_value() &&
                       !last.near->head()->fields.has(FieldId::trailer);
  Message expected = last.answer();
  Fields trailers;
  if (!dropped) forward_trailers(last.near->trailers(), trailers);
  Head next;
  forward_response(*last.near->head(), next, {});
  expected = message_of(next, last.near_body, trailers);
  check(middle.answer() == expected, "the same answer, in HTTP/1");

  Hop asked(true, input.cut);
  open_like(first, asked);
  check(asked.far != nullptr, "asked");
  pass_answer(middle, asked);
  check(asked.near->head() != nullptr && asked.near->arrived(), "HTTP/2 understands the answer");
  Head again;
  forward_response(*middle.near->head(), again, {});
  Fields last_trailers;
  forward_trailers(middle.near->trailers(), last_trailers);
  check(asked.answer() == message_of(again, middle.near_body, last_trailers),
        "the same answer, in HTTP/2 again");
}

}  // namespace
}  // namespace tulle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tulle::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
