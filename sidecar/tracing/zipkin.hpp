// Zipkin: spans as the Zipkin v2 API has them, JSON.
#pragma once

#include "sidecar/tracing/span.hpp"

namespace tulle::tracing {

// Appends objects with a comma behind each: what the array of a request body is made of.
class ZipkinSpanWriter final : public SpanWriter {
 public:
  explicit ZipkinSpanWriter(std::string service) : service_(std::move(service)) {}
  void begin(const Span& span, std::string& out) override;
  void text(std::string_view key, std::string_view value) override;
  void number(std::string_view key, int64_t value) override;
  void end() override;

 private:
  const std::string service_;
  std::string* out_ = nullptr;
  std::string_view failure_;
  bool first_tag_ = true;
};

std::string zipkin_request(const WrittenSpans& spans);

}  // namespace tulle::tracing
