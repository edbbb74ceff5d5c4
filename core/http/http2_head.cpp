#include "core/http/http2_head.hpp"

#include "core/base/ascii.hpp"
#include "core/http/framing_fields.hpp"
#include "core/http/http2_rules.hpp"
#include "core/http/stream.hpp"
#include "core/http/websocket.hpp"

namespace tulle {
namespace {

constexpr size_t kFieldOverhead = 32;  // RFC 9113, 6.5.2
constexpr size_t kMaxName = 8 * 1024;  // Fields counts names in 16 bits, whatever the limits allow

Refusal bad(const char* why) { return {Code::bad_request, why}; }

}  // namespace

void Http2HeadReader::begin(Kind kind, Stream& stream) {
  kind_ = kind;
  stream_ = &stream;
  head_ = kind == Kind::request ? &stream.arriving_head() : nullptr;
  fields_ = kind == Kind::request    ? &head_->fields
            : kind == Kind::trailers ? &stream.arriving_trailers()
                                     : nullptr;
  cookies_.clear();
  host_.clear();
  weight_ = count_ = 0;
  max_weight_ = kind == Kind::trailers ? limits_.trailer_weight : limits_.head_weight;
  max_count_ = kind == Kind::trailers ? limits_.trailer_fields : limits_.head_fields;
  too_large_ = path_too_long_ = interim_ = bad_expect_ = false;
}

bool Http2HeadReader::add(std::string_view name, std::string_view value) {
  weight_ += name.size() + value.size() + kFieldOverhead;
  // Pseudo-header fields weigh, but the limit on fields is about those a handler sees.
  const bool pseudo = !name.empty() && name.front() == ':';
  if (!pseudo) ++count_;
  too_large_ |= weight_ > max_weight_ || count_ > max_count_ || name.size() > kMaxName;
  if (too_large_) return true;
  if (pseudo) return add_pseudo(name, value);

  const FieldId id = field_id(name);
  if (kind_ == Kind::trailers && is_framing_field(id)) return false;
  switch (id) {
    case FieldId::cookie:
      if (kind_ == Kind::request) {
        add_cookie(value);
        return true;
      }
      break;
    case FieldId::host:
      host_.assign(value);
      return true;
    case FieldId::http2_settings:
      return true;
    case FieldId::content_length: {
      const std::optional<uint64_t> length = parse_content_length(value);
      if (head_ != nullptr) head_->content_length = length;
      return length.has_value();
    }
    case FieldId::expect:
      if (kind_ != Kind::request) break;
      bad_expect_ |= head_->expects_continue || !equals_ignoring_case(value, "100-continue");
      head_->expects_continue = true;
      break;
    case FieldId::unknown:
      // As in HTTP/1: what imitates a framing field would be one to some server behind us.
      if (is_disguised(name)) return false;
      break;
    default: break;
  }
  if (fields_ == nullptr) return true;
  if (id != FieldId::unknown) {
    fields_->add(id, value);
  } else {
    fields_->add_other(name, value);  // nghttp2 takes no name with upper case
  }
  return true;
}

bool Http2HeadReader::add_pseudo(std::string_view name, std::string_view value) {
  switch (kind_) {
    case Kind::request: return add_request_pseudo(name, value);
    case Kind::response: return name == ":status" && add_status(value);
    default: return false;
  }
}

bool Http2HeadReader::add_request_pseudo(std::string_view name, std::string_view value) {
  Head& head = *head_;
  if (name == ":path") {
    path_too_long_ = value.size() > limits_.request_line;
    if (!path_too_long_) head.path.assign(value);
  } else if (name == ":method") {
    head.method_text.assign(value);
    head.method = method_of(value);
  } else if (name == ":authority") {
    head.authority.assign(value);
  } else if (name == ":scheme") {
    head.scheme.assign(canonical_scheme(value));
  } else if (name == ":protocol") {
    head.protocol.assign(value);
    make_lower(head.protocol);
  } else {
    return false;
  }
  return true;
}

// The status comes first and says whether this is the answer or news on the way to it.
bool Http2HeadReader::add_status(std::string_view value) {
  const std::optional<int> status = parse_status(value);
  if (!status || *status == 101) return false;
  interim_ = *status < 200;
  head_ = interim_ ? stream_->arriving_interim() : &stream_->arriving_head();
  if (head_ == nullptr) return true;  // too many 1xx are waiting: this one is dropped
  head_->status = *status;
  fields_ = &head_->fields;
  return true;
}

// An empty crumb says nothing, and behind the others it would leave a blank, which HTTP/1 does not carry.
void Http2HeadReader::add_cookie(std::string_view crumb) {
  if (crumb.empty()) return;
  if (!cookies_.empty()) cookies_.append("; ");
  cookies_.append(crumb);
}

Checked Http2HeadReader::finish() {
  const Kind kind = kind_;
  kind_ = Kind::none;
  if (too_large_) return Refusal{Code::header_too_large, "fields too large or too many"};
  if (head_ != nullptr) head_->version = Version::http2;
  return kind == Kind::request ? finish_request() : Checked();
}

Checked Http2HeadReader::finish_request() {
  Head& head = *head_;
  if (path_too_long_) return Refusal{Code::uri_too_long, "the path is too long"};
  if (!cookies_.empty()) head.fields.add(FieldId::cookie, cookies_);
  if (head.authority.empty()) {
    head.authority.assign(host_);
  } else if (!host_.empty() && !same_authority(host_, head.authority, scheme_)) {
    return bad("Host and :authority name different authorities");
  }
  if (!is_authority(head.authority)) return bad("invalid authority");
  if (!host_.empty() && !is_authority(host_)) return bad("invalid Host");
  if (Checked refused = check_target()) return refused;
  if (bad_expect_) return bad("unknown expectation");
  if (!head.protocol.empty() || head.method == Method::connect) {
    // What follows is no content (RFC 9110, 9.3.6).
    if (head.content_length.value_or(0) > 0) return bad("a tunnel with a length");
    head.content_length.reset();
  }
  if (!head.protocol.empty()) {
    if (!is_upgrade_protocol(head.protocol)) return bad("invalid :protocol");
    // Extended CONNECT is HTTP/2's spelling of Upgrade; the neutral form is a GET that wants a
    // protocol (RFC 8441), so that HTTP/1 and HTTP/2 meet without anyone translating.
    head.method = Method::get;
    head.method_text.assign("GET");
  }
  return {};
}

Checked Http2HeadReader::check_target() const {
  Head& head = *head_;
  if (head.method == Method::connect && head.protocol.empty()) {
    head.scheme.assign(scheme_);
    return {};  // nghttp2 has seen to it that there is neither :scheme nor :path
  }
  if (head.scheme != scheme_) return bad("the scheme is not that of the connection");
  if (!is_request_path(head.path)) return bad("invalid path");
  if (head.path == "*" && head.method != Method::options) return bad("only OPTIONS may ask for *");
  return {};
}

}  // namespace tulle
