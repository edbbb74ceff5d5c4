#include "core/http/http1_writer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>

#include "core/base/clock.hpp"
#include "core/http/authority.hpp"
#include "core/http/framing_field.hpp"
#include "core/http/framing_guard.hpp"
#include "core/http/http2_rules.hpp"
#include "core/http/websocket.hpp"

namespace tulle {
namespace {

// Bodies up to this size are copied behind the head, so that they leave in one piece with it.
constexpr size_t kCopied = 2 * 1024;

// Whether any byte is below SP or DEL, eight at a time; bytes beyond ASCII are reported as well.
bool may_hold_control(const char* at, size_t size) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  uint64_t found = 0;
  const auto look = [&found](const char* from) {
    uint64_t word;
    std::memcpy(&word, from, 8);
    found |= (word - kOnes * 0x20) | (word + kOnes);
  };
  const char* const end = at + size;
  if (size >= 8) {
    for (; end - at > 8; at += 8) look(at);
    look(end - 8);
    return (found & (kOnes * 0x80)) != 0;
  }
  for (; at != end; ++at) found |= *at < 0x20 || *at == 0x7f ? 1 : 0;
  return found != 0;
}

// Writes into one reservation that is known to be large enough.
class Text {
 public:
  Text(Bytes& wire, size_t bound) : wire_(wire), begin_(wire.reserve(bound).data), at_(begin_) {}
  ~Text() { wire_.commit(static_cast<size_t>(at_ - begin_)); }
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;

  void put(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void put_number(uint64_t number, int base = 10) {
    at_ = std::to_chars(at_, at_ + 20, number, base).ptr;
  }
  // The last line of defence against fields that came from elsewhere than a checked message
  // (RFC 9110, 5.5: replace by SP).
  void put_value(std::string_view value) {
    char* const begin = at_;
    put(value);
    if (!may_hold_control(begin, value.size())) return;
    for (char* p = begin; p != at_; ++p) {
      const auto byte = static_cast<unsigned char>(*p);
      if ((byte < 0x20 && byte != '\t') || byte == 0x7f) *p = ' ';
    }
  }
  void put_field(std::string_view name, std::string_view value) {
    put(name);
    put(": ");
    put_value(value);
    put("\r\n");
  }

 private:
  Bytes& wire_;
  char* begin_;
  char* at_;
};

void put_fields(const Fields& fields, Text& text) {
  for (const Fields::Field field : fields) {
    if (is_framing_field(field.id)) continue;
    if (field.id == FieldId::unknown && !is_token(field.name)) continue;
    text.put_field(field.name, field.value);
  }
}

void put_coding(BodyForm body, Text& text) {
  if (body.coding == Coding::chunked) {
    text.put("transfer-encoding: chunked\r\n");
  } else if (body.coding == Coding::length) {
    text.put("content-length: ");
    text.put_number(body.length);
    text.put("\r\n");
  }
}

void put_persistence(Persistence persistence, Text& text) {
  if (persistence == Persistence::close) text.put("connection: close\r\n");
  if (persistence == Persistence::keep_alive) text.put("connection: keep-alive\r\n");
}

// What put_fields() and the fixed parts of a head need at most.
size_t bound_of(const Head& head) {
  return head.fields.weight() + head.authority.size() + head.path.size() + head.method_text.size() +
         head.protocol.size() + 512;
}

std::string_view reason_of(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "";
  }
}

void put_status_line(int status, Text& text) {
  if (status == 200) return text.put("HTTP/1.1 200 OK\r\n");
  ASSERT(status >= 100 && status <= 999);
  text.put("HTTP/1.1 ");
  text.put_number(static_cast<uint64_t>(status));
  text.put(" ");
  text.put(reason_of(status));
  text.put("\r\n");
}

// IMF-fixdate (RFC 9110, 5.6.7), made once a second.
std::string_view date_now() {
  static thread_local int64_t second = -1;
  static thread_local std::array<char, 64> text;
  static thread_local size_t size = 0;
  const int64_t now = wall_now().us / 1'000'000;
  if (now != second) {
    second = now;
    const std::time_t time = static_cast<std::time_t>(now);
    std::tm parts{};
    gmtime_r(&time, &parts);
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const int n = std::snprintf(text.data(), text.size(), "%s, %02d %s %d %02d:%02d:%02d GMT",
                                kDays[parts.tm_wday], parts.tm_mday, kMonths[parts.tm_mon],
                                parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
    size = static_cast<size_t>(n);
  }
  return {text.data(), size};
}

void put_date(const Fields& fields, Text& text) {
  if (!fields.has(FieldId::date)) text.put_field("date", date_now());
}

// TE describes this connection only, so it must be named there (RFC 9110, 10.1.4).
void put_request_connection(const Head& head, Persistence persistence, Text& text) {
  const bool close = persistence == Persistence::close;
  const bool te = head.fields.has(FieldId::te);
  const bool upgrade = !head.protocol.empty();
  if (!close && !te && !upgrade) return;
  std::string_view separator = "connection: ";
  const auto put = [&](std::string_view option) {
    text.put(separator);
    text.put(option);
    separator = ", ";
  };
  if (close) put("close");
  if (te) put("te");
  if (upgrade) put("upgrade");
  text.put("\r\n");
  if (upgrade) text.put_field("upgrade", head.protocol);
}

}  // namespace

bool announces_trailers(const Head& head) {
  // Only there can a message have both a length and trailers.
  return head.version == Version::http2 && head.fields.has(FieldId::trailer);
}

bool write_request_head(const Head& head, BodyForm body, Persistence persistence, Bytes& wire) {
  // An upgrade that came as extended CONNECT is a GET here (RFC 8441 and RFC 6455).
  const bool tunnel = head.method == Method::connect && head.protocol.empty();
  const std::string_view path = head.path.empty() ? std::string_view("/") : head.path;
  if (!is_token(head.method_text) || !is_request_path(path)) return false;
  if (!head.authority.empty() ? !is_authority(head.authority) : tunnel) return false;
  Text text(wire, bound_of(head));
  text.put(head.method == Method::connect && !tunnel ? std::string_view("GET") : head.method_text);
  text.put(" ");
  text.put(tunnel ? head.authority : path);
  text.put(" HTTP/1.1\r\nhost: ");
  text.put(head.authority);
  text.put("\r\n");
  put_fields(head.fields, text);
  put_coding(body, text);
  put_request_connection(head, persistence, text);
  text.put("\r\n");
  return true;
}

void write_response_head(const Head& head, BodyForm body, Persistence persistence, Bytes& wire) {
  Text text(wire, bound_of(head));
  put_status_line(head.status, text);
  put_fields(head.fields, text);
  put_date(head.fields, text);
  put_coding(body, text);
  put_persistence(persistence, text);
  if (head.status == 426 && !head.protocol.empty()) {
    text.put("connection: upgrade\r\n");
    text.put_field("upgrade", head.protocol);
  }
  text.put("\r\n");
}

void write_interim_head(const Head& head, Bytes& wire) {
  Text text(wire, bound_of(head));
  put_status_line(head.status, text);
  put_fields(head.fields, text);
  text.put("\r\n");
}

void write_switching_head(const Head& head, std::string_view protocol, std::string_view accept,
                          Bytes& wire) {
  Text text(wire, bound_of(head) + protocol.size() + accept.size());
  put_status_line(head.status, text);
  put_fields(head.fields, text);
  put_date(head.fields, text);
  if (!accept.empty()) text.put_field(kWebSocketAccept, accept);
  text.put_field("upgrade", protocol);
  text.put("connection: upgrade\r\n\r\n");
}

void write_refusal(int status, std::string_view code, std::string_view detail, Bytes& wire) {
  std::string body = "{\"type\":\"urn:tulle:error:";
  body.append(code).append("\",\"title\":\"").append(reason_of(status));
  body.append("\",\"status\":").append(std::to_string(status)).append(",\"detail\":\"");
  for (char c : detail) body.push_back(c == '"' || c == '\\' || c < 0x20 ? ' ' : c);
  body.append("\",\"code\":\"").append(code).append("\",\"origin\":\"downstream\"}\n");
  Text text(wire, body.size() + code.size() + 512);
  put_status_line(status, text);
  text.put("content-type: application/problem+json\r\n");
  text.put_field("tulle-error", code);
  text.put_field("date", date_now());
  text.put("content-length: ");
  text.put_number(body.size());
  text.put("\r\nconnection: close\r\n\r\n");
  text.put(body);
}

// ---- Bodies ----------------------------------------------------------------------------------

void BodyWriter::begin(BodyForm form) {
  coding_ = form.coding;
  left_ = form.length;
}

BodyWriter::Progress BodyWriter::write(Stream& from, Bytes& wire, size_t limit) {
  size_t count = std::min(from.departing_body().size(), limit);
  const bool too_much = coding_ == Coding::length && count > left_;
  if (too_much) count = static_cast<size_t>(left_);
  if (count > 0) write_some(from, wire, count);
  if (too_much) return Progress::broken;
  if (!from.departing_end()) return Progress::waiting;
  if (coding_ == Coding::length && left_ > 0) return Progress::broken;
  if (coding_ == Coding::chunked) {
    const Fields& trailers = from.departing_trailers();
    Text text(wire, trailers.weight() + 16);
    text.put("0\r\n");
    put_fields(trailers, text);
    text.put("\r\n");
  }
  return Progress::ended;
}

void BodyWriter::write_some(Stream& from, Bytes& wire, size_t count) {
  Bytes& body = from.departing_body();
  if (coding_ == Coding::length) left_ -= count;
  if (coding_ == Coding::chunked) {
    Text text(wire, 20);
    text.put_number(count, 16);
    text.put("\r\n");
  }
  if (coding_ == Coding::none) {
    body.drop(count);
  } else if (count <= kCopied) {
    const Bytes::Space space = wire.reserve(count);
    body.copy_to(space.data, count);
    wire.commit(count);
    body.drop(count);
  } else {
    wire.append(body.take(count));
  }
  if (coding_ == Coding::chunked) wire.append("\r\n");
  from.body_departed(count);
}

}  // namespace tulle
