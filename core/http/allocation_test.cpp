// A request in the steady state costs no memory from the allocator: not in the server, not in the
// pool, not in the codecs. Counted by the sanitizer's hooks; without a sanitizer there is no test.
#include <gtest/gtest.h>

#include "core/base/pooled.hpp"
#include "core/http/pool.hpp"
#include "core/http/server.hpp"
#include "tests/support/http_bench.hpp"

#if defined(__SANITIZE_ADDRESS__)

// g++ installs the library but not sanitizer/allocator_interface.h, which declares it.
extern "C" int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void*, size_t), void (*on_free)(const volatile void*));

namespace tulle {
namespace {

using testing::HttpBench;

// What nghttp2 takes for a request and its answer on both sides together. Outside of sanitizer
// builds these come from free lists (Http2Memory); here they go to the allocator and are counted.
constexpr size_t kNghttp2Blocks = 22;

size_t allocations = 0;
void on_malloc(const volatile void*, size_t) { ++allocations; }
void on_free(const volatile void*) {}

// The smallest handler: one field, a few bytes.
class Answer final : public Task, public Pooled<Answer> {
 public:
  Answer(Loop& loop, StreamRef stream) : Task(loop), stream_(std::move(stream)) {
    stream_->set_owner(this);
  }

 private:
  void run() override {
    if (stream_ == nullptr) return;
    if (stream_->failure() == nullptr) {
      stream_->receive(stream_->readable());
      if (!stream_->ended()) return;
      Head& head = stream_->draft();
      head.status = 200;
      head.fields.add("x-answer", "a value that is longer than a small string");
      head.content_length = 5;
      stream_->send_head();
      stream_->send(Bytes("hello"));
      stream_->finish();
    }
    stream_.reset();
  }
  StreamRef stream_;
};

class AnswerService final : public Service {
 public:
  explicit AnswerService(Loop& loop) : loop_(loop) {}
  std::unique_ptr<Task> serve(StreamRef stream) override {
    return std::make_unique<Answer>(loop_, std::move(stream));
  }

 private:
  Loop& loop_;
};

class Asking final : public Task {
 public:
  Asking(Loop& loop, Pool& pool) : Task(loop), pool_(pool) {}
  void begin() {
    Task& waiter = *this;
    ticket_.emplace(waiter);
    pool_.request(*ticket_);
    wake();
  }
  int answers = 0;

 private:
  void run() override {
    if (ticket_) {
      auto* stream = std::get_if<StreamRef>(&ticket_->outcome);
      if (stream == nullptr) return;
      stream_ = std::move(*stream);
      ticket_.reset();
      stream_->set_owner(this);
      Head& head = stream_->draft();
      head.method = Method::post;
      head.method_text = "POST";
      head.scheme = "http";
      head.authority = "somewhere.in.the.mesh.example:8080";
      head.path = "/a/path/that/is/longer/than/a/small/string";
      head.fields.add("user-agent", "a value that is longer than a small string");
      head.content_length = 4;
      stream_->send_head();
      stream_->send(Bytes("ping"));
      stream_->finish();
    }
    if (stream_ == nullptr) return;
    stream_->receive(stream_->readable());
    if (!stream_->ended()) return;
    ++answers;
    stream_.reset();
  }
  Pool& pool_;
  std::optional<Ticket> ticket_;
  StreamRef stream_;
};

class AllocationTest : public ::testing::TestWithParam<Protocol> {};

INSTANTIATE_TEST_SUITE_P(Http, AllocationTest, ::testing::Values(Protocol::http1, Protocol::http2),
                         [](const auto& instance) {
                           return instance.param == Protocol::http1 ? "http1" : "http2";
                         });

TEST_P(AllocationTest, RequestsInTheSteadyStateAllocateNothing) {
  HttpBench bench(GetParam());
  AnswerService service(bench.loop);
  Server server(bench.loop, service, {});
  bench.start();
  bench.network.server = &server;
  Asking asking(bench.loop, *bench.pool);
  const auto ask = [&](int times) {
    for (int i = 0; i < times; ++i) {
      asking.begin();
      bench.settle();
    }
  };
  ask(200);
  ASSERT_EQ(asking.answers, 200);
  __sanitizer_install_malloc_and_free_hooks(&on_malloc, &on_free);
  allocations = 0;
  ask(100);
  const size_t counted = allocations;
  EXPECT_EQ(asking.answers, 300);
  EXPECT_LE(counted, 100 * (GetParam() == Protocol::http2 ? kNghttp2Blocks : 0));
  bench.pool.reset();
}

}  // namespace
}  // namespace tulle

#endif
