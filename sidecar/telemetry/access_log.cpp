#include "sidecar/telemetry/access_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <utility>

#include "core/http/codec.hpp"
#include "core/http/reply.hpp"
#include "core/net/loop.hpp"
#include "core/net/tls.hpp"
#include "sidecar/config/snapshot.hpp"
#include "sidecar/routing/cluster.hpp"
#include "sidecar/exchange/trace_id.hpp"

namespace tulle::telemetry {
namespace {

using exchange::Summary;

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      // Bytes outside ASCII are not known to be UTF-8; Latin-1 escapes keep the line valid JSON.
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_number(std::string& out, uint64_t number) {
  char buffer[24];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
  out.append(buffer, end);
}

void append_time(std::string& out, WallTime now) {
  const time_t seconds = now.us / 1'000'000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char buffer[40];
  const size_t size = strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%S", &parts);
  out.append(buffer, size);
  snprintf(buffer, sizeof buffer, ".%06dZ", static_cast<int>(now.us % 1'000'000));
  out += buffer;
}

// Members of one flat object; empty texts are left out.
class Line {
 public:
  Line(std::string& out, WallTime now) : out_(out) {
    out_ += "{\"time\":\"";
    append_time(out_, now);
    out_ += '"';
  }
  void text(std::string_view key, std::string_view value) {
    if (value.empty()) return;
    name(key);
    append_json_string(out_, value);
  }
  void number(std::string_view key, uint64_t value) {
    name(key);
    append_number(out_, value);
  }

 private:
  void name(std::string_view key) {
    out_ += ',';
    append_json_string(out_, key);
    out_ += ':';
  }
  std::string& out_;
};

void render_request(const Summary& summary, Line& line) {
  if (summary.opaque) {
    line.text("protocol", "tcp");
    line.text("server_name", summary.server_name);
  }
  const Head* request = summary.request;
  if (request == nullptr) return;
  line.text("method", request->method_text);
  line.text("authority", request->authority);
  line.text("path", request->path);
  line.text("protocol", to_string(request->version));
  line.text("request_id", request->fields.get(FieldId::x_request_id).value_or(""));
  line.text("trace_id", exchange::trace_id_of(*request));
}

// gRPC's 5xx, as OpenTelemetry's conventions draw the line: UNKNOWN, DEADLINE_EXCEEDED,
// UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
bool is_failure_of_server(int grpc_status) {
  switch (grpc_status) {
    case 2:
    case 4:
    case 12:
    case 13:
    case 14:
    case 15: return true;
    default: return false;
  }
}

// Envoy's letters; URX: the retries were used up.
std::string flags_of(const Summary& summary) {
  std::string flags;
  if (summary.error != nullptr) flags = response_flag(*summary.error);
  if (summary.retries_exhausted) flags.append(flags.empty() ? "URX" : ",URX");
  return flags;
}

void render_outcome(const Summary& summary, Line& line) {
  if (!summary.opaque) line.number("status", static_cast<uint64_t>(summary.status));
  if (summary.grpc_status >= 0) {
    line.number("grpc_status", static_cast<uint64_t>(summary.grpc_status));
  }
  line.text("flags", flags_of(summary));
  if (summary.error != nullptr) {
    line.text("error", to_string(summary.error->code));
    line.text("origin", to_string(summary.error->origin));
    line.text("detail", summary.error->detail);
  }
  line.number("duration_us", static_cast<uint64_t>(summary.duration.count() / 1000));
  line.number("upstream_us", static_cast<uint64_t>(summary.upstream_latency.count() / 1000));
  line.number("bytes_received", summary.bytes_received);
  line.number("bytes_sent", summary.bytes_sent);
  line.number("attempts", summary.attempts);
}

void render_path(const Summary& summary, Line& line) {
  if (summary.external) line.text("destination", "external");
  if (summary.route != nullptr) line.text("route", summary.route->name);
  if (summary.cluster != nullptr) line.text("cluster", summary.cluster->config().name);
  if (summary.endpoint != nullptr) line.text("endpoint", summary.endpoint->address().to_string());
  if (summary.caller != nullptr) line.text("peer", summary.caller->spiffe_id);
  line.text("upstream_peer", summary.callee);
  line.text("config_version", summary.config_version);
}

void render_listener(const config::ListenerConfig* listener, Line& line) {
  if (listener == nullptr) return;
  line.text("listener", listener->name);
  const bool inbound = listener->direction == config::Direction::inbound;
  line.text("direction", inbound ? "inbound" : "outbound");
}

}  // namespace

void render_access_line(const Summary& summary, WallTime now, std::string& out) {
  Line line(out, now);
  render_listener(summary.listener, line);
  render_request(summary, line);
  render_outcome(summary, line);
  render_path(summary, line);
  out += "}\n";
}

void render_refusal_line(const exchange::RefusalSummary& summary, uint64_t left_out, WallTime now,
                         std::string& out) {
  const Refused& what = *summary.what;
  Line line(out, now);
  render_listener(summary.listener, line);
  line.text("protocol", summary.http2 ? "HTTP/2" : "HTTP/1");
  line.number("status", static_cast<uint64_t>(what.status));
  line.text("flags", "DPE");
  line.text("error", to_string(what.code));
  line.text("origin", to_string(Origin::downstream));
  line.text("detail", what.why);
  line.text("from", summary.from->to_string());
  if (summary.caller != nullptr) line.text("peer", summary.caller->spiffe_id);
  if (left_out > 0) line.number("left_out", left_out);
  out += "}\n";
}

Result<std::unique_ptr<AccessLog>> AccessLog::open(const config::AccessLog& options) {
  int fd = STDOUT_FILENO;
  if (!options.path.empty()) {
    fd = ::open(options.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0) {
      return Error{Code::io_error, Origin::local,
                   "access_log.path: cannot open " + options.path + ": " + std::strerror(errno)};
    }
  }
  return std::unique_ptr<AccessLog>(new AccessLog(fd, options.filter));
}

AccessLog::AccessLog(int fd, config::AccessLogFilter filter)
    : fd_(fd), filter_(filter), writer_([this] { write_queued(); }) {}

AccessLog::~AccessLog() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  writer_.join();
  if (fd_ != STDOUT_FILENO) ::close(fd_);
}

void AccessLog::submit(std::string&& lines) {
  {
    std::lock_guard lock(mutex_);
    if (queued_.size() + lines.size() > kMaxQueued) {
      dropped_.fetch_add(lines.size(), std::memory_order_relaxed);
      lines.clear();
      return;
    }
    queued_ += lines;
  }
  lines.clear();
  changed_.notify_one();
}

void AccessLog::write_queued() {
  std::string batch;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !queued_.empty(); });
      if (queued_.empty()) return;
      batch.clear();
      batch.swap(queued_);
    }
    for (size_t done = 0; done < batch.size();) {
      const ssize_t count = ::write(fd_, batch.data() + done, batch.size() - done);
      if (count > 0) {
        done += static_cast<size_t>(count);
      } else if (count < 0 && errno != EINTR) {
        dropped_.fetch_add(batch.size() - done, std::memory_order_relaxed);
        break;
      }
    }
  }
}

AccessLogBuffer::AccessLogBuffer(Loop& loop, AccessLog* log)
    : Flusher(loop, Flusher::Stage::write), log_(log), log_loop_(loop) {}

bool AccessLogBuffer::may_write_failure() {
  const Instant now = log_loop_.now();
  if (now >= second_ + 1s) begin_second(now);
  if (++written_ <= kFailuresPerSecond) return true;
  ++left_out_;
  return false;
}

void AccessLogBuffer::begin_second(Instant now) {
  second_ = now;
  written_ = 0;
  if (left_out_ == 0) return;
  lines_ += "{\"time\":\"";
  append_time(lines_, wall_now());
  lines_ += "\",\"left_out\":";
  append_number(lines_, std::exchange(left_out_, 0));
  lines_ += "}\n";
}

void AccessLogBuffer::record(const Summary& summary) {
  if (log_ == nullptr) return;
  const config::AccessLogFilter filter = log_->filter();
  if (filter == config::AccessLogFilter::off) return;
  const bool failed = summary.error != nullptr || summary.status >= 500 ||
                      is_failure_of_server(summary.grpc_status);
  if (filter == config::AccessLogFilter::failures && (!failed || !may_write_failure())) return;
  render_access_line(summary, wall_now(), lines_);
  flush_later();
}

void AccessLogBuffer::record(const exchange::RefusalSummary& summary, Instant now) {
  if (log_ == nullptr || log_->filter() == config::AccessLogFilter::off) return;
  if (!may_log_refusal(now)) {
    ++refusals_left_out_;
    return;
  }
  render_refusal_line(summary, std::exchange(refusals_left_out_, 0), wall_now(), lines_);
  flush_later();
}

bool AccessLogBuffer::may_log_refusal(Instant now) {
  const auto earned = static_cast<uint64_t>((now - refusals_counted_) / kRefusalEvery);
  if (earned > 0) {
    refusal_lines_ =
        static_cast<uint32_t>(std::min<uint64_t>(refusal_lines_ + earned, kRefusalBurst));
    refusals_counted_ = now;
  }
  if (refusal_lines_ == 0) return false;
  --refusal_lines_;
  return true;
}

void AccessLogBuffer::flush() { log_->submit(std::move(lines_)); }

}  // namespace tulle::telemetry
