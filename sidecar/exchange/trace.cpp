#include "sidecar/exchange/trace.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "core/http/reply.hpp"
#include "core/net/tls.hpp"
#include "sidecar/config/snapshot.hpp"
#include "sidecar/routing/cluster.hpp"

namespace tulle::exchange {
namespace {

using tracing::Span;
using tracing::SpanId;
using tracing::SpanWriter;
using tracing::TraceContext;

// Paths are copied into spans: long ones would fill the queue and help nobody.
constexpr size_t kLongestPath = 256;

SpanId random_span(Rng& rng) {
  const uint64_t number = rng.next();
  return number != 0 ? number : 1;
}

std::string_view view(const std::string& text) { return text; }

void describe_request(const Head& request, SpanWriter& out) {
  out.text("http.request.method", request.method_text);
  const std::string_view path = request.path;
  out.text("url.path", path.substr(0, std::min(path.find('?'), kLongestPath)));
  out.text("server.address", request.authority);
  out.text("tulle.request_id", request.fields.get(FieldId::x_request_id).value_or(""));
}

}  // namespace

void Trace::begin(Fields& request, const std::shared_ptr<const tracing::Tracing>& tracing,
                  Rng& rng) {
  if (tracing == nullptr) return;
  const TraceContext context = tracing::read_trace_context(request);
  const bool sampled = context.sampling == TraceContext::Sampling::yes ||
                       (context.sampling == TraceContext::Sampling::undecided &&
                        rng.below(1'000'000) < tracing->sampled_per_million);
  trace_ = context.trace;
  parent_ = context.parent;
  // What another trace has left behind there says nothing about this one (W3C Trace Context, 3.3.1.5).
  if (!context.w3c && request.has(FieldId::tracestate)) request.remove(FieldId::tracestate);
  if (sampled) {
    to_ = tracing;
    span_ = random_span(rng);
    began_ = wall_now();
  }
  if (trace_.valid() && context.sampling != TraceContext::Sampling::undecided) return;
  const SpanId above = trace_.valid() ? parent_ : sampled ? span_ : random_span(rng);
  if (!trace_.valid()) {
    if (!sampled) trace_ = tracing::trace_of(request.get(FieldId::x_request_id).value_or(""));
    bare_ = trace_.valid();
    if (!trace_.valid()) trace_ = {rng.next(), rng.next() | 1};
    parent_ = 0;
  }
  tracing::write_trace_context(trace_, above, sampled, request);
}

void Trace::attempt_began(Rng& rng) {
  if (sampled()) attempt_ = random_span(rng);
}

void Trace::attempt_ended(const AttemptFacts& facts, const Head& request,
                          tracing::SpanBuffer& spans) {
  if (attempt_ == 0) return;
  SpanWriter& out = spans.writer(to_);
  const std::string status = facts.status >= 500 ? std::to_string(facts.status) : "";
  const Span span{.trace = trace_,
                  .id = std::exchange(attempt_, 0),
                  .parent = span_,
                  .kind = Span::Kind::client,
                  .method = request.method_text,
                  .target = facts.cluster != nullptr ? view(facts.cluster->config().name) : "",
                  .trace_state = {},
                  .began = {began_.us + facts.after.count() / 1000},
                  .took = facts.took,
                  .failure = facts.failure != nullptr ? to_string(facts.failure->code) : view(status)};
  out.begin(span, spans.out());
  describe_request(request, out);
  if (facts.endpoint != nullptr) {
    out.text("network.peer.address", facts.endpoint->address().ip());
    out.number("network.peer.port", facts.endpoint->address().port());
  }
  if (facts.status != 0) out.number("http.response.status_code", facts.status);
  if (facts.number > 1) out.number("http.request.resend_count", facts.number - 1);
  out.text("tulle.upstream.identity", facts.peer);
  if (facts.failure != nullptr) out.text("tulle.response_flags", response_flag(*facts.failure));
  out.end();
  spans.written();
}

void Trace::exchange_ended(const Summary& summary, tracing::SpanBuffer& spans) const {
  if (!sampled()) return;
  SpanWriter& out = spans.writer(to_);
  const bool inbound = summary.listener->direction == config::Direction::inbound;
  const Head& request = *summary.request;
  const std::string status = summary.status >= 500 ? std::to_string(summary.status) : "";
  const Span span{.trace = trace_,
                  .id = span_,
                  .parent = parent_,
                  .kind = inbound ? Span::Kind::server : Span::Kind::client,
                  .method = request.method_text,
                  .target = summary.route != nullptr ? std::string_view(summary.route->name) : "",
                  .trace_state = request.fields.get(FieldId::tracestate).value_or(""),
                  .began = began_,
                  .took = summary.duration,
                  .failure = summary.error != nullptr ? to_string(summary.error->code) : view(status)};
  out.begin(span, spans.out());
  describe_request(request, out);
  if (summary.status != 0) out.number("http.response.status_code", summary.status);
  if (summary.route != nullptr) out.text("http.route", summary.route->name);
  out.text("tulle.listener", summary.listener->name);
  if (summary.caller != nullptr) out.text("tulle.peer.identity", summary.caller->spiffe_id);
  if (summary.cluster != nullptr) out.text("tulle.cluster", summary.cluster->config().name);
  out.number("tulle.attempts", summary.attempts);
  if (summary.error != nullptr) {
    out.text("tulle.response_flags", response_flag(*summary.error));
    out.text("tulle.detail", summary.error->detail);
  }
  out.text("tulle.config_version", summary.config_version);
  out.end();
  spans.written();
}

}  // namespace tulle::exchange
