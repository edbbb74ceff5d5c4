#include "core/http/framing_guard.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/http/authority.hpp"

namespace tulle {
namespace {

Refusal bad(const char* why) { return {Code::bad_request, why}; }

// One bit per alphabet and byte.
enum Alphabet : uint8_t { kToken = 1, kPath = 2, kQuery = 4, kValue = 8, kHex = 16 };

constexpr std::array<uint8_t, 256> kAlphabets = [] {
  std::array<uint8_t, 256> table{};
  const auto allow = [&table](std::string_view bytes, int alphabets) {
    for (char c : bytes) table[static_cast<unsigned char>(c)] |= static_cast<uint8_t>(alphabets);
  };
  allow("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        kToken | kPath | kQuery);
  allow("0123456789abcdefABCDEF", kHex);
  allow("!#$%&'*+-.^_`|~", kToken);
  allow("-._~!$&'()*+,;=:@/?%[]|", kPath | kQuery);
  // Browsers send these in queries as they are (the URL standard's query percent-encode set).
  allow("{}^`", kQuery);
  for (int c = 0x20; c < 0x100; ++c) table[static_cast<size_t>(c)] |= kValue;
  table['\t'] |= kValue;
  table[0x7f] = 0;
  return table;
}();

bool in(char c, Alphabet alphabet) {
  return (kAlphabets[static_cast<unsigned char>(c)] & alphabet) != 0;
}

bool all_in(ByteView text, Alphabet alphabet) {
  for (char c : text) {
    if (!in(c, alphabet)) return false;
  }
  return true;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Only names with an underscore come here, so the loop is rare.
bool looks_like(ByteView name, ByteView canonical) {
  if (name.size() != canonical.size()) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i] == '_' ? '-' : lower(name[i]);
    if (c != canonical[i]) return false;
  }
  return true;
}

// Servers that build CGI-like names would take these for the real field.
bool is_disguised(ByteView name) {
  if (name.find('_') == ByteView::npos) return false;
  return looks_like(name, "content-length") || looks_like(name, "transfer-encoding") ||
         looks_like(name, "x-forwarded-client-cert") || looks_like(name, "host-");
}

// Room for one more byte, the CR.
bool line_too_long(ByteView partial, const HttpLimits& limits) {
  return partial.size() > limits.request_line + 1;
}

// Takes CRLF off; false when it ends otherwise, or holds another CR.
bool take_line_end(ByteView& line) {
  if (line.size() < 2 || line[line.size() - 2] != '\r') return false;
  line.remove_suffix(2);
  return line.find('\r') == ByteView::npos;
}

// "HTTP/" DIGIT "." DIGIT, and of these 1.0 and 1.1.
Checked parse_version(ByteView text, Version& into) {
  if (text.size() != 8 || !text.starts_with("HTTP/") || text[6] != '.' || !is_digit(text[5]) ||
      !is_digit(text[7])) {
    return bad("malformed HTTP version");
  }
  if (text == "HTTP/1.1") {
    into = Version::http11;
  } else if (text == "HTTP/1.0") {
    into = Version::http10;
  } else {
    return Refusal{Code::version_not_supported, "this version of HTTP is not spoken here"};
  }
  return {};
}

// The codings that exist. Naming one is asking for something we do not do; anything else is an
// attempt to be read differently by two parties.
bool is_registered_coding(ByteView coding) {
  for (ByteView known : {"chunked", "gzip", "x-gzip", "compress", "x-compress", "deflate", "identity"}) {
    if (equals_ignoring_case(coding, known)) return true;
  }
  return false;
}

Checked judge_coding(ByteView value) {
  if (equals_ignoring_case(value, "chunked")) return {};
  bool registered = true;
  ByteView last;
  size_t items = 0;
  for_each_item(value, [&](ByteView item) {
    registered = registered && is_registered_coding(item);
    last = item;
    ++items;
  });
  // An empty element leaves fewer items than commas announce.
  const size_t commas = static_cast<size_t>(std::count(value.begin(), value.end(), ','));
  const bool well_formed = items > 0 && items == commas + 1 && registered;
  const bool compressed = items == 1 && !equals_ignoring_case(last, "identity");
  if (well_formed && (compressed || (items > 1 && equals_ignoring_case(last, "chunked")))) {
    return Refusal{Code::not_implemented, "transfer codings other than chunked are not implemented"};
  }
  return bad("Transfer-Encoding is not exactly chunked");
}

}  // namespace

// ---- Alphabets -------------------------------------------------------------------------------

bool is_token(ByteView text) { return !text.empty() && all_in(text, kToken); }
bool is_field_value(ByteView text) { return all_in(text, kValue); }

bool is_target(ByteView text) {
  const size_t query = std::min(text.find('?'), text.size());
  return all_in(text.substr(0, query), kPath) && all_in(text.substr(query), kQuery);
}

bool equals_ignoring_case(ByteView text, ByteView lower_case) {
  if (text.size() != lower_case.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (lower(text[i]) != lower_case[i]) return false;
  }
  return true;
}

ByteView trimmed(ByteView text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// ---- Start lines -----------------------------------------------------------------------------

Checked check_partial_request_line(ByteView partial, const HttpLimits& limits) {
  if (partial == "\r") return {};
  if (!all_in(partial.substr(0, partial.find(' ')), kToken) || partial.starts_with(' ')) {
    return bad("the method is not a token");
  }
  if (line_too_long(partial, limits)) return Refusal{Code::uri_too_long, "request line too long"};
  return {};
}

Checked parse_request_line(ByteView line, const HttpLimits& limits, RequestLine& into) {
  ByteView text = line.substr(0, line.size() - 1);
  const bool carriage_return = text.ends_with('\r');
  if (carriage_return) text.remove_suffix(1);
  const size_t space = text.find(' ');
  if (space == 0 || !all_in(text.substr(0, space), kToken)) return bad("the method is not a token");
  if (text.size() > limits.request_line) return Refusal{Code::uri_too_long, "request line too long"};
  if (!carriage_return) return bad("the request line does not end with CRLF");
  if (space == ByteView::npos) return bad("the request line has no target");
  const size_t second = text.find(' ', space + 1);
  if (second == ByteView::npos) return bad("the request line has no version");
  into.method = text.substr(0, space);
  into.target = text.substr(space + 1, second - space - 1);
  if (!is_target(into.target) || into.target.empty()) return bad("invalid byte in the request target");
  return parse_version(text.substr(second + 1), into.version);
}

Checked check_partial_status_line(ByteView partial, const HttpLimits& limits) {
  const ByteView start = ByteView("HTTP/1.").substr(0, partial.size());
  if (!partial.starts_with(start)) return bad("not an HTTP/1 status line");
  if (line_too_long(partial, limits)) return bad("status line too long");
  return {};
}

Checked parse_status_line(ByteView line, const HttpLimits& limits, StatusLine& into) {
  if (Checked refused = check_partial_status_line(line.substr(0, line.size() - 1), limits)) {
    return refused;
  }
  if (!take_line_end(line)) return bad("the status line does not end with CRLF");
  if (Checked refused = parse_version(line.substr(0, 8), into.version)) return refused;
  // The blank before an empty reason is often left out.
  const bool shaped = line.size() >= 12 && line[8] == ' ' && (line.size() == 12 || line[12] == ' ');
  if (!shaped) return bad("malformed status line");
  int status = 0;
  for (char c : line.substr(9, 3)) {
    if (!is_digit(c)) return bad("malformed status");
    status = status * 10 + (c - '0');
  }
  if (status < 100 || status > 599) return bad("status out of range");
  if (!is_field_value(line.substr(12))) return bad("control byte in the reason phrase");
  into.status = status;
  return {};
}

Checked parse_target(const RequestLine& line, ByteView scheme, Head& head) {
  const ByteView target = line.target;
  head.authority.clear();
  if (head.method == Method::connect) {
    head.path.clear();
    const size_t colon = target.rfind(':');
    const bool port = colon != ByteView::npos && target.find(']', colon) == ByteView::npos;
    if (!is_authority(target) || !port) return bad("CONNECT needs host and port");
    head.authority = target;
    return {};
  }
  if (target.front() == '/') {
    head.path = target;
    return {};
  }
  if (target == "*") {
    if (head.method != Method::options) return bad("only OPTIONS may ask for *");
    head.path = target;
    return {};
  }
  const size_t separator = target.find("://");
  if (separator == ByteView::npos) return bad("the target is neither a path nor a URI");
  if (!equals_ignoring_case(target.substr(0, separator), scheme)) {
    return bad("the scheme of the target is not that of the connection");
  }
  const ByteView rest = target.substr(separator + 3);
  const size_t end = std::min(rest.find_first_of("/?"), rest.size());
  if (!is_authority(rest.substr(0, end))) return bad("invalid authority in the target");
  head.authority = rest.substr(0, end);
  const ByteView path = rest.substr(end);
  if (path.empty()) {
    head.path = head.method == Method::options ? "*" : "/";
  } else {
    head.path = path.front() == '?' ? "/" : "";
    head.path += path;
  }
  return {};
}

// ---- Fields ----------------------------------------------------------------------------------

void FramingFields::clear() {
  named_.clear();
  host_.clear();
  coding_.reset();
  length_.reset();
  hosts_ = lengths_ = codings_ = 0;
  close_ = keep_alive_ = upgrade_ = upgrade_asked_ = te_trailers_ = false;
  bad_expect_ = expects_continue_ = keeps_alive_ = false;
  framing_ = Framing::none;
}

Checked FramingFields::add(bool request, ByteView name, ByteView value, Head& head) {
  char lowered[32];
  FieldId id = FieldId::unknown;
  if (name.size() <= sizeof lowered) {
    for (size_t i = 0; i < name.size(); ++i) lowered[i] = lower(name[i]);
    id = field_id({lowered, name.size()});
  }
  if (id != FieldId::unknown) return add_known(request, id, value, head);
  if (is_disguised(name)) return bad("a field name imitates another with underscores");
  head.fields.add(name, value);
  return {};
}

Checked FramingFields::add_known(bool request, FieldId id, ByteView value, Head& head) {
  switch (id) {
    case FieldId::host:
      if (!request) break;
      if (hosts_ < 2) ++hosts_;
      host_ = value;
      return {};
    case FieldId::content_length: {
      if (lengths_++ > 0) return bad("more than one Content-Length");
      uint64_t number = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (value.empty() || error != std::errc() || end != value.data() + value.size()) {
        return bad("invalid Content-Length");
      }
      length_ = number;
      return {};
    }
    case FieldId::transfer_encoding:
      if (codings_++ > 0) return bad("more than one Transfer-Encoding");
      coding_ = judge_coding(value);
      return {};
    case FieldId::connection: add_connection(value); return {};
    case FieldId::upgrade: add_upgrade(value, head); return {};
    case FieldId::keep_alive:
    case FieldId::proxy_connection:
    case FieldId::http2_settings: return {};
    case FieldId::te:
      for_each_item(value, [this](ByteView item) {
        te_trailers_ = te_trailers_ || equals_ignoring_case(trimmed(item.substr(0, item.find(';'))), "trailers");
      });
      return {};
    case FieldId::expect:
      if (!request) break;
      bad_expect_ = bad_expect_ || expects_continue_ || !equals_ignoring_case(value, "100-continue");
      expects_continue_ = true;
      break;
    default: break;
  }
  head.fields.add(id, value);
  return {};
}

void FramingFields::add_connection(ByteView value) {
  for_each_item(value, [this](ByteView item) {
    if (equals_ignoring_case(item, "close")) {
      close_ = true;
    } else if (equals_ignoring_case(item, "keep-alive")) {
      keep_alive_ = true;
    } else if (equals_ignoring_case(item, "upgrade")) {
      upgrade_ = true;
    } else {
      named_.append(item).push_back(',');
    }
  });
}

// Keeps the first protocol that is not HTTP/2: h2c is never spoken by upgrade here.
void FramingFields::add_upgrade(ByteView value, Head& head) {
  for_each_item(value, [&](ByteView item) {
    if (equals_ignoring_case(item.substr(0, 2), "h2") || equals_ignoring_case(item.substr(0, 5), "http/")) {
      return;
    }
    if (!head.protocol.empty()) return;
    head.protocol = item;
    for (char& c : head.protocol) c = lower(c);
    upgrade_asked_ = true;
  });
}

Checked FramingFields::check_host(Head& head) const {
  if (hosts_ > 1) return bad("more than one Host");
  if (hosts_ == 0) {
    if (head.version == Version::http11) return bad("no Host");
    return {};
  }
  if (!is_authority(host_)) return bad("invalid Host");
  if (head.authority.empty()) {
    head.authority = host_;
  } else if (!same_authority(head.authority, host_, head.scheme)) {
    return bad("Host and target name different authorities");
  }
  return {};
}

Checked FramingFields::check_coding(const Head& head) const {
  if (codings_ == 0) return {};
  if (head.version == Version::http10) return bad("Transfer-Encoding in HTTP/1.0");
  if (lengths_ > 0) return bad("Transfer-Encoding and Content-Length");
  return coding_;
}

Checked FramingFields::check_expect(Head& head) const {
  if (bad_expect_) return bad("unknown expectation");
  // HTTP/1.0 knows no interim responses, and nothing is to be awaited without a body.
  head.expects_continue = expects_continue_ && head.version == Version::http11 && !head.ended;
  if (!head.expects_continue) head.fields.remove(FieldId::expect);
  return {};
}

void FramingFields::strip_named(Head& head) const {
  if (named_.empty()) return;
  for_each_item(named_, [&](ByteView name) { head.fields.remove(name); });
}

Checked FramingFields::finish_request(Head& head) {
  if (Checked refused = check_host(head)) return refused;
  if (Checked refused = check_coding(head)) return refused;
  const bool body = codings_ > 0 || length_.value_or(0) > 0;
  const bool upgrade = upgrade_ && upgrade_asked_ && head.version == Version::http11;
  if (!upgrade) head.protocol.clear();
  if (body && upgrade) return bad("an upgrade with a body");
  if (body && head.method == Method::connect) return bad("CONNECT with a body");
  if (upgrade || head.method == Method::connect) {
    framing_ = Framing::tunnel;
  } else if (body) {
    framing_ = codings_ > 0 ? Framing::chunked : Framing::length;
  }
  head.content_length = framing_ == Framing::tunnel ? std::nullopt : length_;
  head.ended = framing_ == Framing::none;
  if (Checked refused = check_expect(head)) return refused;
  strip_named(head);
  if (te_trailers_) head.fields.add(FieldId::te, "trailers");
  keeps_alive_ = !close_ && (head.version == Version::http11 || keep_alive_);
  return {};
}

Checked FramingFields::finish_response(const Head& request, Head& head) {
  if (Checked refused = check_coding(head)) return refused;
  const int status = head.status;
  const bool success = status >= 200 && status < 300;
  const bool switching = status == 101;
  keeps_alive_ = !close_ && (head.version == Version::http11 || keep_alive_);
  if (switching) {
    if (!upgrade_ || request.protocol.empty() || head.protocol != request.protocol) {
      return bad("switched to a protocol that was not asked for");
    }
    framing_ = Framing::tunnel;
  } else if (success && request.method == Method::connect && request.protocol.empty()) {
    framing_ = Framing::tunnel;
  } else if (status < 200 || status == 204) {
    // Such a message has no body; one that announces it cannot be trusted with a second request.
    if (codings_ > 0 || length_.value_or(0) > 0) keeps_alive_ = status < 200 && keeps_alive_;
    length_.reset();
  } else if (status != 304 && request.method != Method::head) {
    framing_ = codings_ > 0 ? Framing::chunked : length_ ? Framing::length : Framing::until_close;
    if (framing_ == Framing::length && *length_ == 0) framing_ = Framing::none;
  }
  if (!switching) head.protocol.clear();
  if (framing_ == Framing::until_close || framing_ == Framing::tunnel) keeps_alive_ = false;
  head.content_length = framing_ == Framing::tunnel ? std::nullopt : length_;
  head.ended = framing_ == Framing::none;
  strip_named(head);
  return {};
}

TrailerRule trailer_rule(ByteView name) {
  for (ByteView refused : {"content-length", "transfer-encoding", "host"}) {
    if (equals_ignoring_case(name, refused)) return TrailerRule::refuse;
  }
  for (ByteView dropped : {"connection", "keep-alive", "proxy-connection", "te", "trailer",
                           "upgrade", "http2-settings"}) {
    if (equals_ignoring_case(name, dropped)) return TrailerRule::drop;
  }
  return is_disguised(name) ? TrailerRule::refuse : TrailerRule::keep;
}

// ---- Chunked bodies --------------------------------------------------------------------------

void ChunkGuard::begin(const HttpLimits& limits) {
  *this = {};
  line_limit_ = limits.chunk_line;
  extensions_left_ = limits.chunk_extensions;
}

Checked ChunkGuard::feed(ByteView bytes) {
  while (!bytes.empty() && at_ != At::trailers) {
    if (at_ == At::data) {
      const size_t n = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
      left_ -= n;
      bytes.remove_prefix(n);
      if (left_ == 0) at_ = At::data_cr;
      continue;
    }
    if (Checked refused = step(static_cast<unsigned char>(bytes.front()))) return refused;
    bytes.remove_prefix(1);
  }
  return {};
}

Checked ChunkGuard::step(unsigned char c) {
  switch (at_) {
    case At::data_cr:
      if (c != '\r') return bad("chunk data longer than its size");
      at_ = At::data_lf;
      return {};
    case At::data_lf:
      if (c != '\n') return bad("CR without LF after chunk data");
      at_ = At::size;
      digits_ = 0;
      line_ = 0;
      return {};
    case At::line_feed:
      if (c != '\n') return bad("CR without LF in a chunk line");
      return line_end();
    default: break;
  }
  if (++line_ > line_limit_) return bad("chunk line too long");
  if (at_ == At::size) return size_digit(c);
  if (extensions_left_ == 0) return bad("too many chunk extensions");
  --extensions_left_;
  return extension_byte(c);
}

Checked ChunkGuard::line_end() {
  at_ = left_ == 0 ? At::trailers : At::data;
  return {};
}

Checked ChunkGuard::size_digit(unsigned char c) {
  if (in(static_cast<char>(c), kHex)) {
    if (++digits_ > 16) return bad("chunk size has too many digits");
    const int digit = is_digit(static_cast<char>(c)) ? c - '0' : (c | 0x20) - 'a' + 10;
    left_ = left_ * 16 + static_cast<uint64_t>(digit);
    return {};
  }
  if (digits_ == 0) return bad("chunk without a size");
  // Nobody sends an exabyte; such sizes are there to make somebody's arithmetic wrap.
  if (left_ > uint64_t{1} << 60) return bad("chunk size too large");
  if (c == '\r') {
    at_ = At::line_feed;
  } else if (c == ';') {
    at_ = At::extension;
  } else {
    return bad("invalid byte in a chunk size");
  }
  return {};
}

// chunk-ext = *( ";" name [ "=" ( token / quoted-string ) ] ), without the blanks that RFC 9112
// lets old senders put around the signs.
Checked ChunkGuard::extension_byte(unsigned char c) {
  const bool token = in(static_cast<char>(c), kToken);
  switch (at_) {
    case At::extension:
      if (!token) return bad("chunk extension without a name");
      at_ = At::name;
      return {};
    case At::name:
      if (token) return {};
      if (c == '=') {
        at_ = At::equals;
        return {};
      }
      break;
    case At::equals:
      if (c == '"') {
        at_ = At::quoted;
      } else if (token) {
        at_ = At::value;
      } else {
        return bad("chunk extension without a value");
      }
      return {};
    case At::value:
      if (token) return {};
      break;
    case At::quoted:
      if (!in(static_cast<char>(c), kValue)) return bad("invalid byte in a chunk extension");
      if (c == '\\') at_ = At::escaped;
      if (c == '"') at_ = At::after_value;
      return {};
    case At::escaped:
      if (!in(static_cast<char>(c), kValue)) return bad("invalid byte in a chunk extension");
      at_ = At::quoted;
      return {};
    default: break;
  }
  if (c == '\r') {
    at_ = At::line_feed;
  } else if (c == ';') {
    at_ = At::extension;
  } else {
    return bad("invalid byte in a chunk extension");
  }
  return {};
}

}  // namespace tulle
