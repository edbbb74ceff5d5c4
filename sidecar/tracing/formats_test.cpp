#include <gmock/gmock.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "sidecar/tracing/otlp.hpp"
#include "sidecar/tracing/zipkin.hpp"

namespace tulle::tracing {
namespace {

using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;
using nlohmann::json;

// Protobuf's own reader, without any .proto: what we write by hand must be what it understands.
// Shared, because a set of fields can be neither copied nor moved.
using Message = std::shared_ptr<UnknownFieldSet>;

Message parsed(const std::string& bytes) {
  auto message = std::make_shared<UnknownFieldSet>();
  EXPECT_TRUE(message->ParseFromString(bytes));
  return message;
}

std::vector<const UnknownField*> of(const Message& message, int number) {
  std::vector<const UnknownField*> found;
  for (int i = 0; i < message->field_count(); ++i) {
    if (message->field(i).number() == number) found.push_back(&message->field(i));
  }
  return found;
}

Message inner(const Message& message, int number, size_t which = 0) {
  const auto all = of(message, number);
  EXPECT_LT(which, all.size()) << "field " << number;
  return parsed(which < all.size() ? all[which]->length_delimited() : "");
}

Span example() {
  return {.trace = {0x0102030405060708, 0x1112131415161718},
          .id = 0x2122232425262728,
          .parent = 0x3132333435363738,
          .kind = Span::Kind::server,
          .method = "GET",
          .target = "kitchen",
          .trace_state = "a=1",
          .began = {1'700'000'000'000'000},
          .took = std::chrono::microseconds(1500),
          .failure = "upstream_reset"};
}

std::map<std::string, std::string> attributes(const Message& owner, int number) {
  std::map<std::string, std::string> found;
  for (const UnknownField* each : of(owner, number)) {
    const Message pair = parsed(each->length_delimited());
    const Message value = inner(pair, 2);
    const auto text = of(value, 1);
    found[of(pair, 1)[0]->length_delimited()] =
        text.empty() ? std::to_string(of(value, 3)[0]->varint()) : text[0]->length_delimited();
  }
  return found;
}

TEST(Otlp, ARequestIsWhatProtobufReads) {
  std::string spans;
  OtlpSpanWriter writer;
  writer.begin(example(), spans);
  writer.text("http.request.method", "GET");
  writer.text("empty", "");
  writer.number("http.response.status_code", 503);
  writer.end();
  writer.begin(example(), spans);
  writer.text("long", std::string(300, 'x'));
  writer.end();

  const Message request = parsed(otlp_request("orders", "orders-1", {spans}));
  const Message resource_spans = inner(request, 1);
  EXPECT_EQ(attributes(inner(resource_spans, 1), 1)["service.name"], "orders");
  EXPECT_EQ(attributes(inner(resource_spans, 1), 1)["service.instance.id"], "orders-1");
  const Message scope_spans = inner(resource_spans, 2);
  EXPECT_EQ(of(inner(scope_spans, 1), 1)[0]->length_delimited(), "tulle");
  ASSERT_EQ(of(scope_spans, 2).size(), 2U);

  const Message span = inner(scope_spans, 2, 0);
  EXPECT_EQ(of(span, 1)[0]->length_delimited(), std::string("\x01\x02\x03\x04\x05\x06\x07\x08\x11\x12\x13\x14\x15\x16\x17\x18"));
  EXPECT_EQ(of(span, 2)[0]->length_delimited(), "!\"#$%&'(");
  EXPECT_EQ(of(span, 3)[0]->length_delimited(), "a=1");
  EXPECT_EQ(of(span, 4)[0]->length_delimited(), "12345678");
  EXPECT_EQ(of(span, 5)[0]->length_delimited(), "GET kitchen");
  EXPECT_EQ(of(span, 6)[0]->varint(), 2U);
  EXPECT_EQ(of(span, 7)[0]->fixed64(), 1'700'000'000'000'000'000U);
  EXPECT_EQ(of(span, 8)[0]->fixed64(), 1'700'000'000'001'500'000U);
  EXPECT_EQ(of(inner(span, 15), 3)[0]->varint(), 2U) << "an error";
  const auto said = attributes(span, 9);
  EXPECT_EQ(said.at("http.request.method"), "GET");
  EXPECT_EQ(said.at("http.response.status_code"), "503");
  EXPECT_EQ(said.at("error.type"), "upstream_reset");
  EXPECT_FALSE(said.contains("empty"));
  EXPECT_EQ(attributes(inner(scope_spans, 2, 1), 9).at("long").size(), 300U);
}

TEST(Otlp, ARootHasNoParentAndASuccessNoStatus) {
  Span root = example();
  root.parent = 0;
  root.failure = {};
  std::string spans;
  OtlpSpanWriter writer;
  writer.begin(root, spans);
  writer.end();
  const Message span = inner(parsed(spans), 2);
  EXPECT_TRUE(of(span, 4).empty());
  EXPECT_TRUE(of(span, 15).empty());
}

TEST(Otlp, ReadsWhatACollectorDidNotTake) {
  UnknownFieldSet partial;
  partial.AddVarint(1, 7);
  partial.AddLengthDelimited(2, "too old");
  std::string bytes;
  partial.SerializeToString(&bytes);
  UnknownFieldSet response;
  response.AddLengthDelimited(1, bytes);
  response.SerializeToString(&bytes);
  EXPECT_EQ(otlp_rejected(bytes), 7U);
  EXPECT_EQ(otlp_rejected(""), 0U);
  EXPECT_EQ(otlp_rejected("<html>not a collector</html>"), 0U);
  for (size_t cut = 0; cut < bytes.size(); ++cut) otlp_rejected(std::string_view(bytes).substr(0, cut));
}

TEST(Zipkin, ARequestIsJson) {
  std::string spans;
  ZipkinSpanWriter writer("orders");
  writer.begin(example(), spans);
  writer.text("url.path", "/a\"b\\\n\x01\xff");
  writer.number("http.response.status_code", 503);
  writer.end();
  Span root = example();
  root.parent = 0;
  root.kind = Span::Kind::client;
  root.failure = {};
  root.took = std::chrono::nanoseconds(10);
  writer.begin(root, spans);
  writer.end();
  const json request = json::parse(zipkin_request({spans}));
  ASSERT_EQ(request.size(), 2U);
  EXPECT_EQ(request[0]["traceId"], "01020304050607081112131415161718");
  EXPECT_EQ(request[0]["id"], "2122232425262728");
  EXPECT_EQ(request[0]["parentId"], "3132333435363738");
  EXPECT_EQ(request[0]["kind"], "SERVER");
  EXPECT_EQ(request[0]["name"], "GET kitchen");
  EXPECT_EQ(request[0]["timestamp"], 1'700'000'000'000'000);
  EXPECT_EQ(request[0]["duration"], 1500);
  EXPECT_EQ(request[0]["localEndpoint"]["serviceName"], "orders");
  EXPECT_EQ(request[0]["tags"]["error"], "upstream_reset");
  EXPECT_EQ(request[0]["tags"]["http.response.status_code"], "503");
  EXPECT_FALSE(request[1].contains("parentId"));
  EXPECT_EQ(request[1]["duration"], 1);
  EXPECT_EQ(json::parse(zipkin_request({})), json::array());
}

}  // namespace
}  // namespace tulle::tracing
