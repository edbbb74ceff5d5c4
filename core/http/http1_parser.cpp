#include "core/http/http1_parser.hpp"

#include <llhttp.h>

#include <algorithm>

namespace tulle {
namespace {

// Blanks and line ends count only here: so many beyond what the fields themselves may weigh.
constexpr size_t kRawSlack = 16 * 1024;
constexpr uint8_t kMaxEmptyLines = 2;
constexpr size_t kKeptText = 256;

}  // namespace

// ---- TornText --------------------------------------------------------------------------------

void TornText::add(const char* at, size_t size) {
  if (!torn_ && seen_.empty()) {
    seen_ = {at, size};
    return;
  }
  keep();
  copy_.append(at, size);
}

void TornText::keep() {
  if (torn_ || seen_.empty()) return;
  copy_.assign(seen_);
  torn_ = true;
}

void TornText::clear() {
  seen_ = {};
  if (!torn_) return;
  if (copy_.capacity() > kKeptText) copy_ = {};
  copy_.clear();
  torn_ = false;
}

// ---- llhttp ----------------------------------------------------------------------------------

struct Http1Parser::Callbacks {
  static Http1Parser& self(llhttp_t* parser) { return *static_cast<Http1Parser*>(parser->data); }
  static int answer(const Http1Parser& self) {
    return self.phase_ == Phase::refused ? static_cast<int>(HPE_USER) : 0;
  }

  static int name(llhttp_t* parser, const char* at, size_t size) {
    self(parser).name_.add(at, size);
    return self(parser).weigh() ? 0 : static_cast<int>(HPE_USER);
  }
  static int value(llhttp_t* parser, const char* at, size_t size) {
    self(parser).value_.add(at, size);
    return self(parser).weigh() ? 0 : static_cast<int>(HPE_USER);
  }
  static int field(llhttp_t* parser) {
    self(parser).head_or_trailer_field();
    return answer(self(parser));
  }
  // Stops here: what follows the head is the owner's decision, not llhttp's.
  static int head(llhttp_t* parser) {
    self(parser).phase_ = Phase::fields_done;
    self(parser).llhttp_stopped_ = true;
    parser->upgrade = 0;
    return HPE_PAUSED;
  }
  static int body(llhttp_t* parser, const char* at, size_t size) {
    self(parser).stream_->body_arrived(ByteView(at, size));
    return 0;
  }
  // llhttp reports the size line of the last chunk like any other; its data is empty.
  static int chunk(llhttp_t* parser) {
    Http1Parser& own = self(parser);
    if (parser->content_length != 0) return 0;
    own.in_trailers_ = true;
    own.raw_ = own.weight_ = own.count_ = 0;
    return 0;
  }
  static int message(llhttp_t* parser) {
    self(parser).phase_ = Phase::done;
    self(parser).llhttp_stopped_ = true;
    return HPE_PAUSED;
  }

  static const llhttp_settings_t& settings() {
    static const llhttp_settings_t table = [] {
      llhttp_settings_t s;
      llhttp_settings_init(&s);
      s.on_header_field = name;
      s.on_header_value = value;
      s.on_header_value_complete = field;
      s.on_headers_complete = head;
      s.on_body = body;
      s.on_chunk_header = chunk;
      s.on_message_complete = message;
      return s;
    }();
    return table;
  }
};

Http1Parser::Http1Parser(bool request, const HttpLimits& limits)
    : limits_(limits),
      request_(request),
      llhttp_(std::make_unique<llhttp_t>()),
      framing_fields_(limits) {}

Http1Parser::~Http1Parser() = default;

void Http1Parser::start_llhttp() {
  llhttp_init(llhttp_.get(), request_ ? HTTP_REQUEST : HTTP_RESPONSE, &Callbacks::settings());
  llhttp_->data = this;
  llhttp_stopped_ = false;
}

// Runs llhttp over the bytes; returns how many it took. Anything but a pause of ours or the end of
// the bytes is a refusal.
size_t Http1Parser::execute(ByteView wire) {
  if (llhttp_stopped_) {
    llhttp_stopped_ = false;
    llhttp_resume(llhttp_.get());
  }
  const llhttp_errno_t error = llhttp_execute(llhttp_.get(), wire.data(), wire.size());
  if (error == HPE_OK) return wire.size();
  if (error == HPE_PAUSED && llhttp_stopped_) {
    return static_cast<size_t>(llhttp_get_error_pos(llhttp_.get()) - wire.data());
  }
  if (phase_ != Phase::refused) {
    if (request_ && error == HPE_INVALID_METHOD) {
      refuse({Code::not_implemented, "unknown method"});
    } else {
      refuse_malformed(llhttp_get_error_reason(llhttp_.get()));
    }
  }
  return wire.size();
}

// ---- Refusals --------------------------------------------------------------------------------

void Http1Parser::refuse(const Refusal& why) {
  refusal_ = why;
  phase_ = Phase::refused;
}

bool Http1Parser::refuse_if(const Checked& why) {
  if (why) refuse(*why);
  return why.has_value();
}

void Http1Parser::refuse_malformed(const char* reason) {
  refuse({Code::bad_request, reason != nullptr ? reason : "malformed message"});
}

// ---- Start line ------------------------------------------------------------------------------

bool Http1Parser::begun() const {
  switch (phase_) {
    case Phase::line: return !line_.empty();
    case Phase::line_done:
    case Phase::fields:
    case Phase::fields_done: return true;
    default: return false;
  }
}

size_t Http1Parser::read_line(ByteView wire) {
  const size_t line_feed = wire.find('\n');
  if (line_feed == ByteView::npos) {
    line_.append(wire);
    refuse_if(request_ ? check_partial_request_line(line_, limits_)
                       : check_partial_status_line(line_, limits_));
    return wire.size();
  }
  const size_t used = line_feed + 1;
  whole_line_ = wire.substr(0, used);
  if (!line_.empty()) {
    line_.append(whole_line_);
    whole_line_ = line_;
  }
  if (request_ && whole_line_ == "\r\n") {
    line_.clear();
    if (++empty_lines_ > kMaxEmptyLines) refuse_malformed("too many empty lines");
    return used;
  }
  const Checked refused = request_ ? parse_request_line(whole_line_, limits_, request_line_)
                                   : parse_status_line(whole_line_, limits_, status_line_);
  if (!refuse_if(refused)) phase_ = Phase::line_done;
  return used;
}

void Http1Parser::begin_request_fields(Head& head, ByteView scheme) {
  ASSERT(phase_ == Phase::line_done);
  head_ = &head;
  head.method = method_of(request_line_.method);
  head.method_text = request_line_.method;
  head.version = request_line_.version;
  head.scheme = scheme;
  phase_ = Phase::fields;
  start_llhttp();
  // llhttp first, so that an unknown method is called by its name whatever it asks for.
  execute(whole_line_);
  if (phase_ != Phase::refused) refuse_if(parse_target(request_line_, scheme, head));
  line_.clear();
  if (line_.capacity() > kKeptText) line_ = {};
}

void Http1Parser::begin_response_fields(Head& head) {
  ASSERT(phase_ == Phase::line_done);
  head_ = &head;
  head.status = status_line_.status;
  head.version = status_line_.version;
  phase_ = Phase::fields;
  start_llhttp();
  execute(whole_line_);
  line_.clear();
  if (line_.capacity() > kKeptText) line_ = {};
}

// ---- Fields ----------------------------------------------------------------------------------

size_t Http1Parser::read_fields(ByteView wire) {
  ASSERT(phase_ == Phase::fields);
  const size_t limit = limits_.head_weight + kRawSlack;
  wire = wire.substr(0, limit - raw_);
  const size_t used = execute(wire);
  raw_ += used;
  if (phase_ != Phase::fields) return used;
  if (raw_ == limit) refuse({Code::header_too_large, "head too large"});
  name_.keep();
  value_.keep();
  return used;
}

bool Http1Parser::weigh() {
  const size_t limit = in_trailers_ ? limits_.trailer_weight : limits_.head_weight;
  if (weight_ + name_.size() + value_.size() + 32 <= limit) return true;
  refuse({Code::header_too_large, "fields too large"});
  return false;
}

void Http1Parser::head_or_trailer_field() {
  if (!weigh()) return;
  const size_t limit = in_trailers_ ? limits_.trailer_fields : limits_.head_fields;
  if (++count_ > limit) return refuse({Code::header_too_large, "too many fields"});
  weight_ += name_.size() + value_.size() + 32;
  const ByteView name = name_.view();
  const ByteView value = trimmed(value_.view());
  if (in_trailers_) {
    trailer_field(name, value);
  } else {
    refuse_if(framing_fields_.add(request_, name, value, *head_));
  }
  name_.clear();
  value_.clear();
}

void Http1Parser::trailer_field(ByteView name, ByteView value) {
  switch (trailer_rule(name)) {
    case TrailerRule::refuse: return refuse_malformed("a framing field in the trailers");
    case TrailerRule::drop: return;
    case TrailerRule::keep: stream_->arriving_trailers().add(name, value); return;
  }
}

void Http1Parser::end_request_head() {
  ASSERT(phase_ == Phase::fields_done);
  if (!refuse_if(framing_fields_.finish_request(*head_))) end_head();
}

void Http1Parser::end_response_head(const Head& request) {
  ASSERT(phase_ == Phase::fields_done);
  if (!refuse_if(framing_fields_.finish_response(request, *head_))) end_head();
}

void Http1Parser::end_head() {
  phase_ = Phase::body;
  raw_ = 0;
  switch (framing()) {
    case Framing::none: phase_ = Phase::done; break;
    case Framing::length: left_ = *head_->content_length; break;
    case Framing::chunked: chunks_.begin(limits_); break;
    case Framing::until_close:
    case Framing::tunnel: break;
  }
  head_ = nullptr;
}

// ---- Body ------------------------------------------------------------------------------------

size_t Http1Parser::read_body(ByteView wire, Stream& to) {
  ASSERT(phase_ == Phase::body);
  if (framing() == Framing::chunked) return read_chunked(wire, to);
  if (framing() == Framing::length) {
    wire = wire.substr(0, static_cast<size_t>(std::min<uint64_t>(wire.size(), left_)));
    left_ -= wire.size();
    if (left_ == 0) phase_ = Phase::done;
  }
  to.body_arrived(wire);
  return wire.size();
}

size_t Http1Parser::read_chunked(ByteView wire, Stream& to) {
  if (in_trailers_) wire = wire.substr(0, limits_.trailer_weight + kRawSlack - raw_);
  if (refuse_if(chunks_.feed(wire))) return wire.size();
  const bool were_trailers = in_trailers_;
  stream_ = &to;
  const size_t used = execute(wire);
  stream_ = nullptr;
  if (phase_ != Phase::body) return used;
  if (were_trailers) raw_ += used;
  if (raw_ >= limits_.trailer_weight + kRawSlack) {
    refuse({Code::header_too_large, "trailer section too large"});
  }
  name_.keep();
  value_.keep();
  return used;
}

std::optional<uint64_t> Http1Parser::body_left() const {
  if (phase_ != Phase::body || framing() != Framing::length) return std::nullopt;
  return left_;
}

bool Http1Parser::ends_with_input() const {
  if (phase_ != Phase::body) return false;
  return framing() == Framing::until_close || framing() == Framing::tunnel;
}

void Http1Parser::restart() {
  phase_ = Phase::line;
  in_trailers_ = false;
  empty_lines_ = 0;
  line_.clear();
  name_.clear();
  value_.clear();
  head_ = nullptr;
  framing_fields_.clear();
  left_ = 0;
  raw_ = weight_ = count_ = 0;
}

}  // namespace tulle
