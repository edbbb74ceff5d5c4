#include "core/http/framing_fields.hpp"

#include <algorithm>
#include <charconv>

#include "core/base/ascii.hpp"
#include "core/http/authority.hpp"
#include "core/http/websocket.hpp"

namespace tulle {
namespace {

Refusal bad(const char* why) { return {Code::bad_request, why}; }
// Whoever counts in signed numbers must come to the same length.
constexpr uint64_t kLongestBody = INT64_MAX;

// Only names with an underscore come here, so the loop is rare.
bool looks_like(ByteView name, ByteView canonical) {
  if (name.size() != canonical.size()) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i] == '_' ? '-' : lower(name[i]);
    if (c != canonical[i]) return false;
  }
  return true;
}

// The codings that exist. Naming one is asking for something we do not do; anything else is an
// attempt to be read differently by two parties.
bool is_registered_coding(ByteView coding) {
  for (ByteView known :
       {"chunked", "gzip", "x-gzip", "compress", "x-compress", "deflate", "identity"}) {
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
    return Refusal{Code::not_implemented, "no transfer coding but chunked is implemented"};
  }
  return bad("Transfer-Encoding is not exactly chunked");
}

}  // namespace

bool is_disguised(ByteView name) {
  if (name.find('_') == ByteView::npos) return false;
  return looks_like(name, "content-length") || looks_like(name, "transfer-encoding") ||
         looks_like(name, "x-forwarded-client-cert") || looks_like(name, "host-");
}

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
  char lowered[32];  // the known names are shorter
  const bool is_short = name.size() <= sizeof lowered;
  if (is_short) {
    lower_copy(lowered, name.data(), name.size());
    const FieldId id = field_id({lowered, name.size()});
    if (id != FieldId::unknown) return add_known(request, id, value, head);
  }
  if (is_disguised(name)) return bad("a field name imitates another with underscores");
  if (is_short) {
    head.fields.add_other({lowered, name.size()}, value);
  } else {
    head.fields.add(name, value);
  }
  return {};
}

Checked FramingFields::add_known(bool request, FieldId id, ByteView value, Head& head) {
  switch (id) {
    case FieldId::host:
      if (!request) return {};  // a field of requests (RFC 9110, 7.2); HTTP/2 drops it as well
      if (hosts_ < 2) ++hosts_;
      host_ = value;
      return {};
    case FieldId::content_length: {
      if (lengths_++ > 0) return bad("more than one Content-Length");
      uint64_t number = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (value.empty() || error != std::errc() || end != value.data() + value.size() ||
          number > kLongestBody) {
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
    case FieldId::upgrade: add_upgrade(request, value, head); return {};
    case FieldId::keep_alive:
    case FieldId::proxy_connection:
    case FieldId::http2_settings: return {};
    case FieldId::te:
      for_each_item(value, [this](ByteView item) {
        const ByteView coding = trimmed(item.substr(0, item.find(';')));
        te_trailers_ = te_trailers_ || equals_ignoring_case(coding, "trailers");
      });
      return {};
    case FieldId::expect:
      if (!request) break;
      bad_expect_ = expects_continue_ || !equals_ignoring_case(value, "100-continue");
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

// Keeps the first protocol that may be switched to; a request for any other stays what it is, HTTP.
void FramingFields::add_upgrade(bool request, ByteView value, Head& head) {
  for_each_item(value, [&](ByteView item) {
    if (!is_upgrade_protocol(item)) return;
    upgrade_asked_ = true;
    if (!head.protocol.empty() || (request && !switches_to(item))) return;
    head.protocol = item;
    make_lower(head.protocol);
  });
}

bool FramingFields::switches_to(ByteView protocol) const {
  if (limits_.upgrades == nullptr) return true;
  return std::any_of(
      limits_.upgrades->begin(), limits_.upgrades->end(),
      [&](const std::string& allowed) { return equals_ignoring_case(protocol, allowed); });
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
  const bool asked = upgrade_ && upgrade_asked_ && head.version == Version::http11;
  // A CONNECT is a tunnel already.
  if (!asked || head.method == Method::connect) head.protocol.clear();
  if (body && asked) return bad("an upgrade with a body");
  if (body && head.method == Method::connect) return bad("CONNECT with a body");
  if (!head.protocol.empty() || head.method == Method::connect) {
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
  if (status < 200 && (codings_ > 0 || length_.value_or(0) > 0)) {
    return bad("an interim response that announces a body");
  }
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
    if (codings_ > 0 || length_.value_or(0) > 0) keeps_alive_ = false;
    length_.reset();
  } else if (status != 304 && request.method != Method::head) {
    framing_ = codings_ > 0 ? Framing::chunked : length_ ? Framing::length : Framing::until_close;
    if (framing_ == Framing::length && *length_ == 0) framing_ = Framing::none;
  }
  // 426 has to say which protocol it requires (RFC 9110, 15.5.22).
  if (!switching && !(status == 426 && upgrade_)) head.protocol.clear();
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

}  // namespace tulle
