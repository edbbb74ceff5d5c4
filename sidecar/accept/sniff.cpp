#include "sidecar/accept/sniff.hpp"

#include <algorithm>
#include <optional>

#include "core/base/ascii.hpp"
#include "core/http/framing_guard.hpp"
#include "core/http/http2_preface.hpp"

namespace tulle::accept {
namespace {

using Kind = Sniffed::Kind;

Sniffed verdict(Kind kind) {
  Sniffed sniffed;
  sniffed.kind = kind;
  return sniffed;
}

// ---- HTTP -----------------------------------------------------------------------------------

constexpr ByteView kVersion = "HTTP/";
constexpr size_t kLongestMethod = 32;
// As much of a request line as HTTP itself would take; a longer target is refused there.
constexpr size_t kLongestLine = 8 * 1024;

bool is_visible(char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f; }

bool may_begin_target(char c) { return c == '/' || c == '*' || c == '[' || is_token_byte(c); }

// What follows the target: "HTTP/" and a version.
Sniffed sniff_version(ByteView rest) {
  const size_t compared = std::min(rest.size(), kVersion.size());
  if (rest.substr(0, compared) != kVersion.substr(0, compared)) return verdict(Kind::opaque);
  if (rest.size() < kVersion.size() + 3) return verdict(Kind::undecided);
  Sniffed sniffed = verdict(Kind::http1);
  sniffed.http10 = rest.substr(kVersion.size(), 3) == "1.0";
  return sniffed;
}

// METHOD SP target SP "HTTP/": words that other protocols send as well ("GET key", "SET key 1")
// end or differ before that.
Sniffed sniff_request_line(ByteView first) {
  const size_t method = static_cast<size_t>(
      std::find_if_not(first.begin(), first.end(), is_token_byte) - first.begin());
  if (method > kLongestMethod) return verdict(Kind::opaque);
  if (method == first.size()) return verdict(Kind::undecided);
  if (method == 0 || first[method] != ' ') return verdict(Kind::opaque);
  const ByteView target = first.substr(method + 1);
  if (target.empty()) return verdict(Kind::undecided);
  if (!may_begin_target(target.front())) return verdict(Kind::opaque);
  const size_t looked_at = std::min(target.size(), kLongestLine);
  const size_t size = static_cast<size_t>(
      std::find_if_not(target.begin(), target.begin() + static_cast<ptrdiff_t>(looked_at),
                       is_visible) -
      target.begin());
  if (size == kLongestLine) {
    return verdict(target.front() == '/' || target.starts_with("http") ? Kind::http1
                                                                       : Kind::opaque);
  }
  if (size == target.size()) return verdict(Kind::undecided);
  return target[size] == ' ' ? sniff_version(target.substr(size + 1)) : verdict(Kind::opaque);
}

Sniffed sniff_http(ByteView first) {
  const size_t compared = std::min(first.size(), kHttp2Preface.size());
  if (first.substr(0, compared) == kHttp2Preface.substr(0, compared)) {
    return verdict(compared == kHttp2Preface.size() ? Kind::http2 : Kind::undecided);
  }
  return sniff_request_line(first);
}

// ---- TLS ------------------------------------------------------------------------------------

constexpr char kHandshakeRecord = 0x16;
constexpr char kClientHello = 0x01;
constexpr size_t kRecordHeader = 5;
constexpr size_t kHandshakeHeader = 4;
constexpr size_t kLargestRecord = 16 * 1024;
constexpr uint16_t kServerNameExtension = 0;
constexpr uint16_t kAlpnExtension = 16;

// Numbers and vectors of TLS from the front of a view. Once something is missing all that is read
// is empty and good() is false.
class Cursor {
 public:
  explicit Cursor(ByteView bytes) : rest_(bytes) {}
  bool good() const { return good_; }
  bool empty() const { return rest_.empty(); }
  size_t number(size_t width) {
    size_t value = 0;
    for (const char c : take(width)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  ByteView take(size_t size) {
    if (size > rest_.size()) {
      good_ = false;
      rest_ = {};
      return {};
    }
    const ByteView taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  ByteView vector(size_t width) { return take(number(width)); }

 private:
  ByteView rest_;
  bool good_ = true;
};

bool is_host_name(ByteView name) {
  if (name.empty() || name.size() > 255 || name.front() == '.') return false;
  return std::ranges::all_of(name, [](char c) {
    return is_alphanumeric(c) || c == '-' || c == '.' || c == '_';
  });
}

// More than one name, or none that is a host's, is no name: nobody may choose which one counts.
void read_server_name(ByteView extension, Sniffed& sniffed) {
  Cursor list(extension);
  Cursor names(list.vector(2));
  const bool is_host = names.number(1) == 0;
  const ByteView name = names.vector(2);
  if (!list.good() || !list.empty() || !names.good() || !names.empty()) return;
  if (!is_host || !is_host_name(name)) return;
  sniffed.server_name.assign(name.ends_with('.') ? name.substr(0, name.size() - 1) : name);
  make_lower(sniffed.server_name);
}

void read_alpn(ByteView extension, Sniffed& sniffed) {
  Cursor outer(extension);
  Cursor list(outer.vector(2));
  std::vector<std::string> names;
  while (list.good() && !list.empty()) names.emplace_back(list.vector(1));
  if (outer.good() && outer.empty() && list.good()) sniffed.alpn = std::move(names);
}

// A hello that is broken is TLS without any names: whoever serves it will say what is wrong.
Sniffed read_hello(ByteView body) {
  const Sniffed nameless = verdict(Kind::tls);
  Sniffed sniffed = nameless;
  Cursor hello(body);
  hello.take(2 + 32);  // version, random
  hello.vector(1);     // session
  hello.vector(2);     // cipher suites
  hello.vector(1);     // compression
  if (!hello.good() || hello.empty()) return nameless;
  Cursor extensions(hello.vector(2));
  std::vector<size_t> seen;
  while (hello.good() && extensions.good() && !extensions.empty()) {
    const size_t type = extensions.number(2);
    const ByteView extension = extensions.vector(2);
    if (std::ranges::find(seen, type) != seen.end()) return nameless;
    if (type == kServerNameExtension || type == kAlpnExtension) seen.push_back(type);
    if (type == kServerNameExtension) read_server_name(extension, sniffed);
    if (type == kAlpnExtension) read_alpn(extension, sniffed);
  }
  return hello.good() && hello.empty() && extensions.good() ? sniffed : nameless;
}

// The content of the handshake records, as far as it is here. False: something else is among them.
bool unwrap_records(ByteView first, std::string& content) {
  while (!first.empty()) {
    if (first[0] != kHandshakeRecord) return false;
    if (first.size() > 1 && first[1] != 3) return false;
    if (first.size() > 2 && static_cast<unsigned char>(first[2]) > 4) return false;
    if (first.size() < kRecordHeader) return true;
    Cursor header(first.substr(3));
    const size_t size = header.number(2);
    if (size == 0 || size > kLargestRecord) return false;
    const ByteView body = first.substr(kRecordHeader, size);
    content.append(body);
    first.remove_prefix(kRecordHeader + body.size());
    // Only the hello itself counts; what is behind it may be anything.
    if (content.size() >= kHandshakeHeader) {
      Cursor hello(content);
      hello.take(1);
      if (content.size() >= kHandshakeHeader + hello.number(3)) return true;
    }
  }
  return true;
}

Sniffed sniff_tls(ByteView first) {
  std::string content;
  const bool whole_records = unwrap_records(first, content);
  if (!content.empty() && content[0] != kClientHello) return verdict(Kind::opaque);
  if (content.size() >= kHandshakeHeader) {
    Cursor cursor(content);
    cursor.take(1);
    const size_t size = cursor.number(3);
    if (content.size() >= kHandshakeHeader + size) {
      return read_hello(ByteView(content).substr(kHandshakeHeader, size));
    }
    if (kHandshakeHeader + size > kMostSniffed) return verdict(Kind::tls);  // nobody reads so far
  }
  // Broken after it had begun as TLS; before that it is anybody's.
  if (!whole_records) return verdict(content.empty() ? Kind::opaque : Kind::tls);
  return verdict(Kind::undecided);
}

}  // namespace

Sniffed sniff(ByteView first) {
  if (first.empty()) return {};
  // What is behind the bound is not looked at, so that more bytes cannot change anything.
  const ByteView looked_at = first.substr(0, kMostSniffed);
  Sniffed sniffed =
      looked_at.front() == kHandshakeRecord ? sniff_tls(looked_at) : sniff_http(looked_at);
  if (sniffed.kind == Kind::undecided && looked_at.size() == kMostSniffed) {
    sniffed.kind = looked_at.front() == kHandshakeRecord ? Kind::tls : Kind::opaque;
  }
  return sniffed;
}

}  // namespace tulle::accept
