#include "core/http/server.hpp"

#include <gtest/gtest.h>

#include "core/http/client.hpp"
#include "core/http/reply.hpp"
#include "core/net/test_loop.hpp"
#include "tests/support/recorder.hpp"

namespace tulle {
namespace {

// Answers at once with the path it was asked for.
class EchoPath final : public Service {
 public:
  explicit EchoPath(Loop& loop) : loop_(loop) {}
  std::unique_ptr<Task> serve(StreamRef stream) override {
    ++served;
    std::string path = stream->head()->path;
    if (path == "/large") path.assign(3 * 1024 * 1024, 'L');
    if (path == "/huge") path.assign(40 * 1024 * 1024, 'H');  // more than socket buffers hold
    return serve_text(loop_, std::move(stream), 200, "text/plain", std::move(path));
  }
  int served = 0;

 private:
  Loop& loop_;
};

class Waiter final : public Task {
 public:
  using Task::Task;

 private:
  void run() override {}
};

// A server on a real socket, a pool of connections to it, and calls.
class ServerTest : public ::testing::TestWithParam<Protocol> {
 protected:
  ServerTest() : service(test.loop), waiter(test.loop) {}
  ~ServerTest() override {
    calls.clear();
    pool.reset();
    server.reset();
    EXPECT_TRUE(test.run_until([&] { return test.loop.cells() == 0; }));
  }
  void start(Server::Options options = {}) {
    server = std::make_unique<Server>(test.loop, service, options);
    const Result<void> listening = server->listen(*test.network, *Address::parse("127.0.0.1", 0), {});
    ASSERT_TRUE(listening.has_value());
    Pool::Options pooled;
    pooled.address = server->local_address();
    pooled.protocol = GetParam();
    pool = std::make_unique<Pool>(test.loop, *test.network, pooled, nullptr);
  }
  Call& call(const std::string& path, std::string body = {}) {
    CallRequest request;
    const bool post = !body.empty();
    request.head = request_head(post ? Method::post : Method::get, post ? "POST" : "GET", "a", path);
    request.body = std::move(body);
    calls.push_back(std::make_unique<Call>(test.loop, *pool, std::move(request), waiter));
    return *calls.back();
  }
  bool all_done() {
    for (const auto& each : calls) {
      if (!each->done()) return false;
    }
    return true;
  }
  bool finish() {
    return test.run_until([&] { return all_done(); });
  }

  TestLoop test;
  EchoPath service;
  Waiter waiter;
  std::unique_ptr<Server> server;
  std::unique_ptr<Pool> pool;
  std::vector<std::unique_ptr<Call>> calls;
};

INSTANTIATE_TEST_SUITE_P(Sockets, ServerTest, ::testing::Values(Protocol::http1, Protocol::http2),
                         [](const auto& instance) {
                           return instance.param == Protocol::http1 ? "http1" : "http2";
                         });

TEST_P(ServerTest, CallsAreAnswered) {
  start();
  for (int i = 0; i < 20; ++i) call("/" + std::to_string(i), i % 2 == 0 ? "" : "body");
  ASSERT_TRUE(finish());
  for (size_t i = 0; i < calls.size(); ++i) {
    ASSERT_TRUE(calls[i]->outcome().has_value()) << calls[i]->outcome().error().detail;
    EXPECT_EQ(calls[i]->outcome()->head.status, 200);
    EXPECT_EQ(calls[i]->outcome()->body, "/" + std::to_string(i));
  }
}

TEST_P(ServerTest, AnswersMayBeLargerThanAStream) {
  start();
  Call& large = call("/large");
  ASSERT_TRUE(finish());
  ASSERT_TRUE(large.outcome().has_value()) << large.outcome().error().detail;
  EXPECT_EQ(large.outcome()->body.size(), 3u * 1024 * 1024);
}

TEST_P(ServerTest, AnswersBeyondTheCallersBoundAreErrors) {
  start();
  CallRequest request;
  request.head = request_head(Method::get, "GET", "a", "/large");
  request.max_body = 100 * 1024;
  calls.push_back(std::make_unique<Call>(test.loop, *pool, std::move(request), waiter));
  ASSERT_TRUE(finish());
  EXPECT_FALSE(calls[0]->outcome().has_value());
}

TEST_P(ServerTest, AcceptingPausesAtTheMaximum) {
  Server::Options options;
  options.max_connections = 2;
  start(options);
  // Each pool keeps a connection of its own.
  std::vector<std::unique_ptr<Pool>> pools;
  for (int i = 0; i < 5; ++i) {
    Pool::Options pooled;
    pooled.address = server->local_address();
    pooled.protocol = GetParam();
    pools.push_back(std::make_unique<Pool>(test.loop, *test.network, pooled, nullptr));
    CallRequest request;
    request.head = request_head(Method::get, "GET", "a", "/");
    calls.push_back(std::make_unique<Call>(test.loop, *pools.back(), std::move(request), waiter));
  }
  ASSERT_TRUE(test.run_until([&] { return service.served == 2; }));
  test.settle();
  EXPECT_EQ(server->connections(), 2u);
  EXPECT_EQ(service.served, 2);
  // Those who wait are taken in as others leave.
  ASSERT_TRUE(test.run_until([&] {
    for (size_t i = 0; i < pools.size(); ++i) {
      if (calls[i]->done()) pools[i]->retire();
    }
    return all_done();
  }));
  EXPECT_EQ(service.served, 5);
  calls.clear();
}

TEST_P(ServerTest, ChangedLimitsReachConnectionsThatAreThere) {
  start();
  call("/first");
  ASSERT_TRUE(finish());
  HttpLimits limits;
  limits.idle_timeout = 50ms;
  server->set_limits(limits);
  Call& second = call("/second");
  ASSERT_TRUE(finish());
  EXPECT_TRUE(second.outcome().has_value());
  EXPECT_EQ(pool->connections(), 1u);  // the same
  EXPECT_TRUE(test.run_until([&] { return server->connections() == 0; }));
}

TEST_P(ServerTest, StopAcceptingLeavesConnectionsAlone) {
  start();
  call("/first");
  ASSERT_TRUE(finish());
  server->stop_accepting();
  Call& second = call("/second");
  ASSERT_TRUE(finish());
  EXPECT_TRUE(second.outcome().has_value());
  pool->retire();
  ASSERT_TRUE(test.run_until([&] { return server->drained(); }));
}

TEST_P(ServerTest, DrainTellsTheOwner) {
  class Owner final : public Task {
   public:
    using Task::Task;
    int runs = 0;

   private:
    void run() override { ++runs; }
  } owner(test.loop);
  start();
  server->set_owner(&owner);
  call("/");
  ASSERT_TRUE(finish());
  EXPECT_GE(owner.runs, 1);
  const int before = owner.runs;
  server->drain();
  ASSERT_TRUE(test.run_until([&] { return server->drained() && owner.runs > before; }));
  Call& late = call("/late");
  ASSERT_TRUE(finish());
  EXPECT_FALSE(late.outcome().has_value());
  EXPECT_EQ(late.outcome().error().code, Code::connect_failed);
}

TEST_P(ServerTest, CallTakesTooLong) {
  class Silent final : public Service {
   public:
    std::unique_ptr<Task> serve(StreamRef stream) override {
      kept.push_back(std::move(stream));
      return nullptr;
    }
    std::vector<StreamRef> kept;
  } silent;
  start();
  server = std::make_unique<Server>(test.loop, silent, Server::Options{});
  ASSERT_TRUE(server->listen(*test.network, *Address::parse("127.0.0.1", 0), {}).has_value());
  Pool::Options pooled;
  pooled.address = server->local_address();
  pooled.protocol = GetParam();
  pool = std::make_unique<Pool>(test.loop, *test.network, pooled, nullptr);
  CallRequest request;
  request.head = request_head(Method::get, "GET", "a", "/");
  request.timeout = 20ms;
  calls.push_back(std::make_unique<Call>(test.loop, *pool, std::move(request), waiter));
  ASSERT_TRUE(finish());
  EXPECT_EQ(calls[0]->outcome().error().code, Code::request_timeout);
  server.reset();
}

// What a client that is interrupted does: it closes, with an answer on the way.
TEST_P(ServerTest, ClientThatClosesWhileItIsAnsweredIsNoticed) {
  if (GetParam() == Protocol::http2) return;  // ends with its connection; nothing is half closed
  start();
  testing::Recorder client(test.network->connect(server->local_address()));
  client.stream->want_read(false);
  client.send("GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(test.run_until([&] { return service.served == 1; }));
  client.stream->shutdown();
  test.settle();
  EXPECT_EQ(server->connections(), 1u);
  client.stream.reset();
  ASSERT_TRUE(test.run_until([&] { return server->drained(); }));
}

TEST_P(ServerTest, PortInUse) {
  start();
  Server second(test.loop, service, {});
  const Result<void> listening = second.listen(*test.network, server->local_address(), {});
  ASSERT_FALSE(listening.has_value());
  EXPECT_EQ(Result<void>(listening).error().code, Code::address_in_use);
}

}  // namespace
}  // namespace tulle
