// Unary calls and long-lived streams, both sides, on the simulated network.
#include "core/http/grpc_stream.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

#include "core/http/grpc_call.hpp"
#include "core/http/server.hpp"
#include "core/net/simulated_network.hpp"

namespace tulle {
namespace {

constexpr size_t kMaxMessage = 300'000;

// Answers a message with itself, "fail ..." with a status, and "twice" with two messages.
class UnaryTask final : public Task {
 public:
  UnaryTask(Loop& loop, StreamRef stream) : Task(loop) {
    Task& self = *this;
    call_.emplace(std::move(stream), self, kMaxMessage);
  }

 private:
  void run() override {
    if (!call_) return;
    if (call_->advance()) {
      const std::string& request = call_->request();
      if (request.starts_with("fail")) {
        call_->reply(GrpcStatus{GrpcCode::permission_denied, "no: " + request + " \xc3\xbc"});
      } else {
        call_->reply(request);
      }
    }
    if (call_->over()) call_.reset();
  }
  std::optional<GrpcServerCall> call_;
};

// Sends every message back at once; "bye" ends with a status, and so does the client's end.
class EchoTask final : public Task {
 public:
  EchoTask(Loop& loop, StreamRef stream) : Task(loop) {
    Task& self = *this;
    stream_.emplace(std::move(stream), self, kMaxMessage);
    stream_->open();
  }

 private:
  void run() override {
    if (!stream_) return;
    stream_->advance();
    while (stream_->can_send()) {
      std::optional<std::string> message = stream_->receive();
      if (!message) break;
      if (*message == "bye") {
        stream_->finish({GrpcCode::unavailable, "as you said"});
        break;
      }
      stream_->send("you said " + *message);
    }
    if (stream_->ended()) stream_->finish({});
    if (stream_->over()) stream_.reset();
  }
  std::optional<GrpcStream> stream_;
};

class Methods final : public Service {
 public:
  explicit Methods(Loop& loop) : loop_(loop) {}
  std::unique_ptr<Task> serve(StreamRef stream) override {
    const std::string path = stream->head()->path;
    authority = stream->head()->authority;
    timeout = stream->head()->fields.get(FieldId::grpc_timeout).value_or("");
    if (path == "/t.S/Unary") return std::make_unique<UnaryTask>(loop_, std::move(stream));
    if (path == "/t.S/Echo") return std::make_unique<EchoTask>(loop_, std::move(stream));
    Head& head = stream->draft();
    head.status = path == "/http/503" ? 503 : 200;
    head.ended = true;
    if (path == "/none") head.fields.add(FieldId::content_type, "application/grpc");
    if (path == "/unknown") {
      head.fields.add(FieldId::content_type, "application/grpc");
      add_status(head.fields, {GrpcCode::unimplemented, "unknown method"});
    }
    stream->send_head();
    return nullptr;
  }
  std::string authority;
  std::string timeout;

 private:
  Loop& loop_;
};

// The client's end of a stream: says what it is given, keeps what it hears.
class Speaker final : public Task {
 public:
  explicit Speaker(Loop& loop) : Task(loop) {}
  void begin(Pool& pool, const std::string& path) {
    Task& self = *this;
    ticket_.emplace(self);
    path_ = path;
    pool.request(*ticket_);
    wake();
  }
  void say(std::string message) {
    to_say.push_back(std::move(message));
    wake();
  }
  std::vector<std::string> to_say;
  std::vector<std::string> heard;
  bool taking = true;
  bool finishing = false;
  std::optional<GrpcStream> stream;

 private:
  void run() override {
    if (!stream && ticket_) {
      auto* opened = std::get_if<StreamRef>(&ticket_->outcome);
      if (opened == nullptr) return;
      Task& self = *this;
      stream.emplace(std::move(*opened), self, kMaxMessage,
                     grpc_request_head("http", "far", path_));
      ticket_.reset();
    }
    if (!stream) return;
    stream->advance();
    while (!to_say.empty() && stream->can_send()) {
      stream->send(std::move(to_say.front()));
      to_say.erase(to_say.begin());
    }
    if (finishing && to_say.empty()) stream->finish();
    while (taking) {
      std::optional<std::string> message = stream->receive();
      if (!message) break;
      heard.push_back(std::move(*message));
    }
  }
  std::optional<Ticket> ticket_;
  std::string path_;
};

class Waiter final : public Task {
 public:
  using Task::Task;

 private:
  void run() override {}
};

class GrpcTest : public ::testing::Test {
 protected:
  GrpcTest()
      : near(network.host(loop, "10.0.0.1")),
        far(network.host(loop, "10.0.0.2")),
        methods(loop),
        waiter(loop),
        server(loop, methods, {}) {
    const Result<void> listening = server.listen(*far, *Address::parse("10.0.0.2", 50051), {});
    EXPECT_TRUE(listening.has_value());
    Pool::Options options;
    options.address = server.local_address();
    options.protocol = Protocol::http2;
    pool = std::make_unique<Pool>(loop, *near, options, nullptr);
  }
  ~GrpcTest() override {
    EXPECT_TRUE(clock.lost_wakes().empty());
  }

  GrpcAnswer call(const std::string& path, std::string message) {
    GrpcRequest request;
    request.scheme = "http";
    request.authority = "far:50051";
    request.path = path;
    request.message = std::move(message);
    GrpcCall asked(loop, *pool, std::move(request), waiter);
    EXPECT_TRUE(clock.run_while_not([&] { return asked.done(); }, 60s));
    return asked.answer();
  }

  SimulatedClock clock{7};
  SimulatedNetwork network{clock};
  SimulatedLoop loop{clock};
  std::unique_ptr<Network> near, far;
  Methods methods;
  Waiter waiter;
  Server server;
  std::unique_ptr<Pool> pool;
};

TEST_F(GrpcTest, UnaryCallsByteByByte) {
  LinkOptions link;
  link.slicing = LinkOptions::Slicing::bytes;
  link.latency = 1us;
  link.jitter = 0ns;
  network.set_link(link);
  const GrpcAnswer answer = call("/t.S/Unary", "hello");
  EXPECT_TRUE(answer.status.ok()) << answer.status.to_string();
  EXPECT_EQ(answer.message, "hello");
  EXPECT_EQ(methods.authority, "far:50051");
  EXPECT_EQ(methods.timeout, "30000000u");
}

TEST_F(GrpcTest, EmptyAndLargeMessages) {
  for (const size_t size : {size_t{0}, size_t{1}, kMaxMessage}) {
    const std::string message(size, 'm');
    const GrpcAnswer answer = call("/t.S/Unary", message);
    EXPECT_TRUE(answer.status.ok()) << answer.status.to_string();
    EXPECT_EQ(answer.message, message);
  }
  const GrpcAnswer refused = call("/t.S/Unary", std::string(kMaxMessage + 1, 'm'));
  EXPECT_EQ(refused.status.code, GrpcCode::resource_exhausted);
}

TEST_F(GrpcTest, StatusWithItsMessage) {
  const GrpcAnswer answer = call("/t.S/Unary", "fail 100%");
  EXPECT_EQ(answer.status.code, GrpcCode::permission_denied);
  EXPECT_EQ(answer.status.message, "no: fail 100% \xc3\xbc");
}

TEST_F(GrpcTest, AnswersOfOthers) {
  EXPECT_EQ(call("/unknown", "x").status.code, GrpcCode::unimplemented);
  EXPECT_EQ(call("/http/503", "x").status.code, GrpcCode::unavailable);
  EXPECT_EQ(call("/none", "x").status.code, GrpcCode::internal);
  EXPECT_EQ(call("/http/200", "x").status.code, GrpcCode::internal);
}

TEST_F(GrpcTest, NobodyThere) {
  network.refuse(server.local_address());
  EXPECT_EQ(call("/t.S/Unary", "x").status.code, GrpcCode::unavailable);
}

TEST_F(GrpcTest, WhatIsNoGrpcCallIsToldSo) {
  for (const bool post : {true, false}) {
    CallRequest request;
    request.head = request_head(post ? Method::post : Method::get, post ? "POST" : "GET", "far",
                                "/t.S/Unary");
    if (post) request.body = "{}";
    Call asked(loop, *pool, std::move(request), waiter);
    ASSERT_TRUE(clock.run_while_not([&] { return asked.done(); }, 60s));
    ASSERT_TRUE(asked.outcome().has_value()) << asked.outcome().error().detail;
    EXPECT_EQ(asked.outcome()->head.status, post ? 415 : 405);
  }
}

TEST_F(GrpcTest, AStreamOfManyMessagesBothWays) {
  Speaker speaker(loop);
  speaker.begin(*pool, "/t.S/Echo");
  ASSERT_TRUE(clock.run_while_not([&] { return speaker.stream && speaker.stream->heard(); }, 5s));
  EXPECT_TRUE(speaker.heard.empty());  // the head came before any message
  std::vector<std::string> expected;
  for (int i = 0; i < 100; ++i) {
    std::string message(static_cast<size_t>(i) * 997, static_cast<char>('a' + i % 26));
    expected.push_back("you said " + message);
    speaker.say(std::move(message));
  }
  ASSERT_TRUE(clock.run_while_not([&] { return speaker.heard.size() == 100; }, 60s));
  EXPECT_EQ(speaker.heard, expected);
  // An hour of silence does not end it.
  clock.run_for(1h);
  speaker.say("still there");
  ASSERT_TRUE(clock.run_while_not([&] { return speaker.heard.size() == 101; }, 60s));
  EXPECT_FALSE(speaker.stream->ended());
  speaker.finishing = true;
  speaker.wake();
  ASSERT_TRUE(clock.run_while_not([&] { return speaker.stream->ended(); }, 60s));
  EXPECT_TRUE(speaker.stream->status().ok()) << speaker.stream->status().to_string();
}

TEST_F(GrpcTest, AServerMayEndAStream) {
  Speaker speaker(loop);
  speaker.begin(*pool, "/t.S/Echo");
  speaker.say("one");
  speaker.say("bye");
  speaker.say("lost");
  ASSERT_TRUE(clock.run_while_not([&] { return speaker.stream && speaker.stream->ended(); }, 60s));
  EXPECT_EQ(speaker.heard, std::vector<std::string>{"you said one"});
  EXPECT_EQ(speaker.stream->status().code, GrpcCode::unavailable);
  EXPECT_EQ(speaker.stream->status().message, "as you said");
}

TEST_F(GrpcTest, AReaderThatStopsHoldsTheServerBack) {
  Speaker speaker(loop);
  speaker.taking = false;
  speaker.begin(*pool, "/t.S/Echo");
  for (int i = 0; i < 100; ++i) speaker.say(std::string(100'000, 'x'));
  clock.run_for(10s);
  // Ten million bytes fit neither the windows nor what is held in between.
  EXPECT_GT(speaker.to_say.size(), 60u);
  speaker.taking = true;
  speaker.wake();
  EXPECT_TRUE(clock.run_while_not([&] { return speaker.heard.size() == 100; }, 100s));
}

TEST_F(GrpcTest, ALostConnectionIsAnEnd) {
  Speaker speaker(loop);
  speaker.begin(*pool, "/t.S/Echo");
  speaker.say("one");
  ASSERT_TRUE(clock.run_while_not([&] { return speaker.heard.size() == 1; }, 60s));
  network.cut_all(Cut::reset);
  ASSERT_TRUE(clock.run_while_not([&] { return speaker.stream->ended(); }, 60s));
  EXPECT_EQ(speaker.stream->status().code, GrpcCode::unavailable);
  EXPECT_TRUE(speaker.stream->over());
}

}  // namespace
}  // namespace tulle
