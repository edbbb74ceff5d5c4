// Round trips: a client codec and a server codec with nothing between them but memory, whole and in
// pieces. What one says from its model, the other must understand as the same model.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/http1_driver.hpp"

#if defined(__SANITIZE_ADDRESS__)
// GCC ships the function but not its header, sanitizer/allocator_interface.h.
extern "C" int __sanitizer_install_malloc_and_free_hooks(  // NOLINT: reserved for exactly this
    void (*on_malloc)(const volatile void*, size_t), void (*on_free)(const volatile void*));
#endif

namespace tulle {
namespace {

using testing::text_of;

class Http1Pair : public ::testing::TestWithParam<size_t> {
 protected:
  ~Http1Pair() override {
    up_.reset();
    down_.reset();
  }

  static std::string written(Codec& codec) {
    Bytes wire;
    codec.write(wire, 10'000);
    return wire.to_string();
  }
  void deliver(Codec& codec, std::string_view bytes) {
    const size_t piece = GetParam() == 0 ? std::max<size_t>(bytes.size(), 1) : GetParam();
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
      EXPECT_TRUE(codec.read(bytes.substr(0, piece), now_).has_value());
      take_accepted();
    }
  }
  void take_accepted() {
    if (Stream* stream = server_->accept()) {
      down_.reset(stream);
      arrived_body_.clear();
    }
  }
  void drain() {
    if (down_ != nullptr) request_body_ += down_->receive(SIZE_MAX).to_string();
    if (up_ == nullptr) return;
    arrived_body_ += up_->receive(SIZE_MAX).to_string();
    while (const Head* interim = up_->interim()) {
      interims_.push_back(interim->status);
      up_->drop_interim();
    }
  }
  void pump() {
    for (int i = 0; i < 10'000; ++i) {
      const std::string there = written(*client_);
      deliver(*server_, there);
      drain();
      const std::string back = written(*server_);
      take_accepted();
      deliver(*client_, back);
      drain();
      if (there.empty() && back.empty()) return;
    }
    ADD_FAILURE() << "the codecs never fall silent";
  }
  // Keeps `to` full until all is sent.
  void send_all(Stream& to, std::string_view body) {
    while (!body.empty()) {
      const size_t n = std::min(to.room(), body.size());
      if (n == 0) {
        pump();
        continue;
      }
      to.send(Bytes(body.substr(0, n)));
      body.remove_prefix(n);
    }
  }
  Head& request(std::string_view method, std::string_view path) {
    up_.reset(client_->open());
    request_body_.clear();
    interims_.clear();
    Head& head = up_->draft();
    head.method = method_of(method);
    head.method_text = method;
    head.path = path;
    head.authority = "a.example:8080";
    return head;
  }
  void end_exchange() {
    up_.reset();
    down_.reset();
    pump();
    EXPECT_FALSE(client_->finished());
    EXPECT_FALSE(server_->finished());
    EXPECT_EQ(client_->dirty().alive + server_->dirty().alive, 0u);
  }

  HttpLimits limits_;
  std::unique_ptr<Codec> client_ = make_http1_codec(Codec::Role::client, limits_, "http");
  std::unique_ptr<Codec> server_ = make_http1_codec(Codec::Role::server, limits_, "http");
  Instant now_{1};
  StreamRef up_;
  StreamRef down_;
  std::string request_body_;
  std::string arrived_body_;
  std::vector<int> interims_;
};
INSTANTIATE_TEST_SUITE_P(Pieces, Http1Pair, ::testing::Values(0, 1, 3, 1000), ::testing::PrintToStringParamName());

TEST_P(Http1Pair, ExchangesFollowEachOther) {
  for (int i = 0; i < 10; ++i) {
    Head& head = request("GET", "/" + std::to_string(i));
    head.fields.add("x-number", std::to_string(i));
    head.ended = true;
    up_->send_head();
    pump();
    ASSERT_NE(down_, nullptr);
    EXPECT_EQ(down_->head()->path, "/" + std::to_string(i));
    EXPECT_EQ(down_->head()->authority, "a.example:8080");
    EXPECT_EQ(text_of(down_->head()->fields), "x-number=" + std::to_string(i) + "\n");
    EXPECT_TRUE(down_->ended());
    down_->draft().status = 200;
    down_->draft().content_length = 5;
    down_->send_head();
    down_->send(Bytes("hello"));
    down_->finish();
    pump();
    EXPECT_TRUE(up_->ended());
    EXPECT_EQ(up_->head()->status, 200);
    EXPECT_EQ(arrived_body_, "hello");
    EXPECT_EQ(up_->reused_connection(), i > 0);
    end_exchange();
  }
}

TEST_P(Http1Pair, LargeBodiesBothWays) {
  std::string body;
  for (int i = 0; body.size() < 300'000; ++i) body += std::to_string(i) + ",";
  for (const bool announced : {true, false}) {
    Head& head = request("POST", "/");
    if (announced) head.content_length = body.size();
    up_->send_head();
    send_all(*up_, body);
    up_->draft_trailers().add("x-sum", "1");
    up_->finish();
    pump();
    EXPECT_TRUE(request_body_ == body);
    EXPECT_TRUE(down_->ended());
    EXPECT_EQ(text_of(down_->trailers()), announced ? "" : "x-sum=1\n");
    down_->draft().status = 200;
    if (announced) down_->draft().content_length = body.size();
    down_->send_head();
    send_all(*down_, body);
    down_->draft_trailers().add("x-sum", "2");
    down_->finish();
    pump();
    EXPECT_TRUE(arrived_body_ == body);
    EXPECT_TRUE(up_->ended());
    EXPECT_EQ(text_of(up_->trailers()), announced ? "" : "x-sum=2\n");
    EXPECT_EQ(up_->bytes_received(), body.size());
    EXPECT_EQ(down_->bytes_sent(), body.size());
    end_exchange();
  }
}

TEST_P(Http1Pair, ContinueThenAnswer) {
  Head& head = request("PUT", "/");
  head.content_length = 3;
  head.expects_continue = true;
  head.fields.add("expect", "100-continue");
  up_->send_head();
  pump();
  EXPECT_TRUE(down_->head()->expects_continue);
  down_->draft().status = 100;
  down_->send_interim();
  pump();
  EXPECT_EQ(interims_, std::vector<int>{100});
  up_->send(Bytes("abc"));
  up_->finish();
  pump();
  EXPECT_EQ(request_body_, "abc");
  down_->draft().status = 204;
  down_->draft().ended = true;
  down_->send_head();
  pump();
  EXPECT_EQ(up_->head()->status, 204);
  EXPECT_TRUE(up_->ended());
  end_exchange();
}

TEST_P(Http1Pair, ATunnel) {
  Head& head = request("GET", "/chat");
  head.protocol = "websocket";
  up_->send_head();
  up_->send(Bytes("too early?"));
  pump();
  EXPECT_EQ(down_->head()->protocol, "websocket");
  EXPECT_EQ(request_body_, "");
  down_->draft().status = 101;
  down_->send_head();
  down_->send(Bytes("hi"));
  pump();
  EXPECT_EQ(up_->head()->status, 101);
  EXPECT_EQ(arrived_body_, "hi");
  EXPECT_EQ(request_body_, "too early?");
  EXPECT_FALSE(client_->output_ended());
  up_->finish();
  pump();
  EXPECT_TRUE(client_->output_ended());
  EXPECT_FALSE(client_->finished()) << "the other side may go on";
  server_->end_of_input(std::nullopt);
  EXPECT_TRUE(down_->ended());
  down_->send(Bytes(" there"));
  down_->finish();
  pump();
  EXPECT_TRUE(server_->finished());
  EXPECT_EQ(arrived_body_, "hi there");
  client_->end_of_input(std::nullopt);
  EXPECT_TRUE(up_->ended());
  EXPECT_TRUE(client_->finished());
}

TEST_P(Http1Pair, HeadAndItsLength) {
  request("HEAD", "/").ended = true;
  up_->send_head();
  pump();
  down_->draft().status = 200;
  down_->draft().content_length = 77;
  down_->draft().ended = true;
  down_->send_head();
  pump();
  EXPECT_EQ(up_->head()->content_length, 77u);
  EXPECT_TRUE(up_->ended());
  end_exchange();
}

TEST_P(Http1Pair, AResetInTheMiddleIsSeenAsOne) {
  request("GET", "/").ended = true;
  up_->send_head();
  pump();
  down_->draft().status = 200;
  down_->send_head();
  down_->send(Bytes("partial"));
  pump();
  down_.reset();
  pump();
  EXPECT_TRUE(server_->finished());
  client_->end_of_input(std::nullopt);
  EXPECT_EQ(arrived_body_, "partial");
  ASSERT_NE(up_->failure(), nullptr);
  EXPECT_EQ(up_->failure()->code, Code::upstream_reset);
}

#if defined(__SANITIZE_ADDRESS__)
// The sanitizer's allocator counts for us; other builds run the same code uncounted.
size_t allocations = 0;
void count_allocation(const volatile void*, size_t) { ++allocations; }
void ignore_free(const volatile void*) {}

void carry(Codec& from, Codec& to) {
  Bytes wire;
  from.write(wire, 100'000);
  for (size_t i = 0; i < wire.slice_count(); ++i) ASSERT_TRUE(to.read(wire.slice(i), Instant{1}).has_value());
}

TEST(Http1Allocations, TheSteadyStateHasNone) {
  const HttpLimits limits;
  const auto client = make_http1_codec(Codec::Role::client, limits, "http");
  const auto server = make_http1_codec(Codec::Role::server, limits, "http");
  const auto exchange = [&] {
    StreamRef up(client->open());
    Head& request = up->draft();
    request.method = Method::post;
    request.method_text = "POST";
    request.path = "/some/longer/path/that/does/not/fit/into/a/short/string?with=query";
    request.authority = "service.namespace.example:8080";
    request.fields.add("x-request-id", "0af7651916cd43dd8448eb211c80319c");
    request.fields.add("x-custom", "value");
    request.content_length = 5;
    up->send_head();
    up->send(Bytes("hello"));
    up->finish();
    carry(*client, *server);
    StreamRef down(server->accept());
    ASSERT_NE(down, nullptr);
    ASSERT_EQ(down->receive(100).size(), 5u);
    down->draft().status = 200;
    down->draft().fields.add("content-type", "application/json");
    down->send_head();
    down->send(Bytes("answer of unknown length"));
    down->finish();
    carry(*server, *client);
    ASSERT_EQ(up->receive(100).size(), 24u);
    ASSERT_TRUE(up->ended());
    up.reset();
    down.reset();
    carry(*client, *server);
    carry(*server, *client);
    ASSERT_EQ(client->dirty().alive + server->dirty().alive, 0u);
  };
  for (int i = 0; i < 10; ++i) exchange();
  ASSERT_GT(__sanitizer_install_malloc_and_free_hooks(count_allocation, ignore_free), 0);
  allocations = 0;
  const auto probe = std::make_unique<std::string>(1000, 'x');
  ASSERT_EQ(allocations, 2u) << probe->size() << ": counting works";
  allocations = 0;
  for (int i = 0; i < 100; ++i) exchange();
  EXPECT_EQ(allocations, 0u);
}
#endif

}  // namespace
}  // namespace tulle
