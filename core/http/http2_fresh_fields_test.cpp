// What is new in every message is sent by value alone, and stays out of the compression table.

#include "core/http/http2_fresh_fields.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/support/http2_frames.hpp"
#include "tests/support/http2_pair.hpp"

namespace tulle {
namespace {

// How the fields of one block are said (RFC 7541, 6).
struct Representations {
  size_t indexed = 0;
  size_t inserted = 0;   // literals with incremental indexing
  size_t kept_out = 0;   // literals without, never or not
  size_t names = 0;      // literals whose name is spelt out
};

class BlockReader {
 public:
  explicit BlockReader(std::string_view block) : rest_(block) {}

  Representations read() {
    while (!rest_.empty()) read_one();
    return seen_;
  }

 private:
  void read_one() {
    const auto first = static_cast<uint8_t>(rest_.front());
    if (first >= 0x80) {
      number(7);
      ++seen_.indexed;
    } else if (first >= 0x40) {
      ++seen_.inserted;
      literal(6);
    } else if (first >= 0x20) {
      number(5);  // the size of the table
    } else {
      ++seen_.kept_out;
      literal(4);
    }
  }
  void literal(int prefix) {
    if (number(prefix) == 0) {
      ++seen_.names;
      text();
    }
    text();
  }
  void text() { rest_.remove_prefix(std::min(number(7), rest_.size())); }
  size_t number(int prefix) {
    const size_t most = (size_t{1} << prefix) - 1;
    size_t value = byte() & most;
    if (value < most) return value;
    for (int shift = 0;; shift += 7) {
      const size_t more = byte();
      value += (more & 0x7f) << shift;
      if (more < 0x80) return value;
    }
  }
  size_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }

  std::string_view rest_;
  Representations seen_;
};

class FreshFields : public testing::Test {
 protected:
  // Sends a request with these fields to the end; how its head was said.
  Representations ask(const h2::FieldList& fields) {
    StreamRef up = draft(fields);
    up->send_head();
    pair_.step();
    const std::string wire = pair_.last_to_server;
    StreamRef down = pair_.take();
    if (down == nullptr) {
      ADD_FAILURE() << "the request has not arrived";
      return {};
    }
    for (const auto& [name, value] : fields) EXPECT_EQ(down->head()->fields.get(name), value);
    Http2Pair::respond(*down, 204);
    pair_.pump();
    return head_in(wire);
  }
  StreamRef draft(const h2::FieldList& fields) {
    StreamRef up = pair_.open();
    Head& head = up->draft();
    head.method_text = "GET";
    head.path = "/";
    head.authority = "a";
    head.ended = true;
    for (const auto& [name, value] : fields) head.fields.add(name, value);
    return up;
  }
  static Representations head_in(const std::string& wire) {
    const auto heads = h2::of_type(h2::frames(wire), h2::kHeaders);
    if (heads.size() != 1) {
      ADD_FAILURE() << heads.size() << " heads";
      return {};
    }
    return BlockReader(heads[0].payload).read();
  }
  // New in every request.
  std::string id() {
    std::string text = std::to_string(++count_);
    return std::string(16 - text.size(), '0') + text;
  }

  Http2Pair pair_;
  size_t count_ = 0;
};

TEST_F(FreshFields, TheNameIsSpeltOutOncePerConnection) {
  pair_.pump();
  Representations head = ask({{"x-request-id", id()}});
  EXPECT_EQ(head.names, 1u);
  ask({{"x-request-id", id()}});
  for (int i = 0; i < 1000; ++i) {
    head = ask({{"x-request-id", id()}});
    ASSERT_EQ(head.names, 0u) << i;
    ASSERT_EQ(head.kept_out, 1u) << i;
    ASSERT_EQ(head.inserted, 0u) << i;
  }
}

// A deadline: the same in every request until time passes before it is sent.
TEST_F(FreshFields, AValueThatRepeatsIsIndexed) {
  pair_.pump();
  const auto left = [](std::string ms) {
    return h2::FieldList{{"x-envoy-expected-rq-timeout-ms", std::move(ms)}};
  };
  EXPECT_EQ(ask(left("60000")).names, 1u);
  const size_t others = ask(left("60000")).indexed;
  EXPECT_EQ(ask(left("60000")).indexed, others);
  EXPECT_EQ(ask(left("60000")).kept_out, 0u);
  EXPECT_EQ(ask(left("59999")).kept_out, 1u);
  EXPECT_EQ(ask(left("59998")).kept_out, 1u);
  EXPECT_EQ(ask(left("60000")).kept_out, 1u);
  const Representations again = ask(left("60000"));
  EXPECT_EQ(again.kept_out + again.inserted + again.names, 0u);
  EXPECT_EQ(again.indexed, others);
}

TEST_F(FreshFields, DeadlinesOfCallsDoNotTurnTheTableOver) {
  pair_.pump();
  size_t inserted = 0;
  for (int i = 0; i < 640; ++i) {
    inserted += ask({{"grpc-timeout", std::to_string(99'999'999 - 37 * i) + "u"},
                     {"tracestate", "vendor=" + id()}})
                    .inserted;
  }
  EXPECT_LT(inserted, 5u);
}

TEST_F(FreshFields, EveryFieldOfThatKindHasItsOwn) {
  pair_.pump();
  const auto fields = [this] {
    return h2::FieldList{{"x-request-id", id()},
                         {"traceparent", "00-" + id() + id() + "-" + id() + "-01"},
                         {"x-b3-traceid", id() + id()},
                         {"x-b3-spanid", id()}};
  };
  EXPECT_EQ(ask({{"x-request-id", id()}}).names, 1u);
  EXPECT_EQ(ask(fields()).names, 3u);
  const Representations head = ask(fields());
  EXPECT_EQ(head.names, 0u);
  EXPECT_EQ(head.kept_out, 4u);
}

TEST_F(FreshFields, OfAnswersAsWell) {
  pair_.pump();
  const auto answer = [this] {
    StreamRef up = pair_.request("GET", "/");
    pair_.step();
    StreamRef down = pair_.take();
    down->draft().fields.add("x-request-id", id());
    Http2Pair::respond(*down, 204);
    pair_.step();
    return head_in(pair_.last_to_client);
  };
  EXPECT_EQ(answer().names, 1u);
  EXPECT_EQ(answer().names, 0u);
}

TEST_F(FreshFields, SecretsStayOutOfTheTable) {
  pair_.pump();
  for (int i = 0; i < 3; ++i) {
    const Representations head = ask({{"idempotency-key", id()}, {"authorization", "Bearer x"}});
    EXPECT_EQ(head.kept_out, 2u);
    EXPECT_EQ(head.names, 1u);
  }
}

// The table is turned over again and again by what the application sends.
TEST_F(FreshFields, ANameThatFellOutComesBack) {
  pair_.pump();
  size_t spelt = 0;
  for (int i = 0; i < 640; ++i) {
    const h2::FieldList fields{{"x-request-id", id()}, {"x-own", std::string(40, 'v') + id()}};
    // x-own is found by name as long as there is one, which is always but for the first time.
    spelt += ask(fields).names;
  }
  // 38 requests turn the table over: 64 in a row share a turn of being known and one of not.
  EXPECT_GT(spelt, 10u);
  EXPECT_LT(spelt, 10u * 64 / 2 + 2);
}

TEST_F(FreshFields, AHeadThatWasNotSentTeachesNothing) {
  pair_.pump();
  StreamRef first = draft({});
  StreamRef second = draft({{"x-request-id", id()}});
  first->send_head();
  second->send_head();
  pair_.write_limit = 1;  // the second waits within nghttp2
  pair_.step();
  second->cancel(Code::cancelled);
  pair_.write_limit = 1 << 20;
  pair_.pump();
  ASSERT_EQ(pair_.accepted.size(), 1u);
  pair_.accepted.clear();
  EXPECT_EQ(ask({{"x-request-id", id()}}).names, 1u);
  EXPECT_EQ(ask({{"x-request-id", id()}}).names, 0u);
}

TEST_F(FreshFields, AnEnormousValueDoesNotFillTheTable) {
  pair_.pump();
  const auto long_id = [this] { return std::string(Http2FreshFields::kLongestValue, 'i') + id(); };
  EXPECT_EQ(ask({{"x-request-id", long_id()}}).inserted, 1u);  // :authority
  EXPECT_EQ(ask({{"x-request-id", long_id()}}).inserted, 0u);
  EXPECT_EQ(ask({{"x-request-id", id()}}).inserted, 1u);
  EXPECT_EQ(ask({{"x-request-id", long_id()}}).names, 0u);
}

}  // namespace
}  // namespace tulle
