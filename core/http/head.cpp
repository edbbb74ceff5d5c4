#include "core/http/head.hpp"

#include <utility>

#include "core/base/assert.hpp"

namespace tulle {
namespace {

// A pooled head must not keep what one enormous target needed.
void clear_kept(std::string& text) {
  constexpr size_t kKept = 2 * 1024;
  if (text.capacity() > kKept) text = {};
  text.clear();
}

}  // namespace

Method method_of(std::string_view text) {
  switch (text.size()) {
    case 3:
      if (text == "GET") return Method::get;
      if (text == "PUT") return Method::put;
      break;
    case 4:
      if (text == "HEAD") return Method::head;
      if (text == "POST") return Method::post;
      break;
    case 5:
      if (text == "PATCH") return Method::patch;
      if (text == "TRACE") return Method::trace;
      break;
    case 6:
      if (text == "DELETE") return Method::delete_;
      break;
    case 7:
      if (text == "OPTIONS") return Method::options;
      if (text == "CONNECT") return Method::connect;
      break;
    default: break;
  }
  return Method::other;
}

bool is_safe(Method method) {
  switch (method) {
    case Method::get:
    case Method::head:
    case Method::options:
    case Method::trace: return true;
    default: return false;
  }
}

bool is_idempotent(Method method) {
  return is_safe(method) || method == Method::put || method == Method::delete_;
}

std::string_view to_string(Version version) {
  switch (version) {
    case Version::http10: return "HTTP/1.0";
    case Version::http11: return "HTTP/1.1";
    case Version::http2: return "HTTP/2";
  }
  UNREACHABLE();
}

void Head::clear() {
  method = Method::get;
  clear_kept(method_text);
  clear_kept(scheme);
  clear_kept(authority);
  clear_kept(path);
  clear_kept(protocol);
  status = 0;
  version = Version::http11;
  fields.clear();
  content_length.reset();
  ended = false;
  expects_continue = false;
}

}  // namespace tulle
