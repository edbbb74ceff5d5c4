#include "cli/up/health_check.hpp"

#include "core/net/loop.hpp"

namespace tulle::cli {
namespace {

constexpr Duration kWhileFailing = 100ms;  // a person watches
constexpr Duration kWhilePassing = 3s;
constexpr Duration kAnswerWithin = 2s;
constexpr int kFailuresThatCount = 2;      // one slow answer of a busy machine is none

}  // namespace

HealthCheck::HealthCheck(Loop& loop, Network& network, HealthTarget target, Task& owner)
    : Task(loop),
      network_(network),
      target_(std::move(target)),
      owner_(owner),
      next_(*this),
      limit_(*this) {
  if (!target_.path.empty()) {
    Pool::Options options;
    options.address = target_.address;
    options.protocol = Protocol::http1;
    pool_ = std::make_unique<Pool>(loop, network, options, nullptr);
  }
  wake();
}

HealthCheck::~HealthCheck() = default;

void HealthCheck::ask() {
  if (pool_ == nullptr) {
    opened_ = false;
    refused_.reset();
    limit_.arm(kAnswerWithin);
    connection_ = network_.connect(target_.address);
    connection_->start(*this);
    return;
  }
  CallRequest request;
  request.head = request_head(Method::get, "GET", target_.address.to_string(), target_.path);
  request.timeout = kAnswerWithin;
  call_ = std::make_unique<Call>(loop_, *pool_, std::move(request), task());
}

void HealthCheck::run() {
  if (call_ != nullptr) {
    if (!call_->done()) return;
    Result<CallAnswer>& outcome = call_->outcome();
    if (!outcome) return conclude(false, outcome.error().detail);
    const int status = outcome->head.status;
    return conclude(status >= 200 && status < 400,
                    "GET " + target_.path + " answered " + std::to_string(status));
  }
  if (connection_ != nullptr) {
    if (opened_) return conclude(true, "");
    if (refused_) return conclude(false, *refused_);
    if (limit_.fired()) return conclude(false, "no connection within 2 s");
    return;
  }
  if (!next_.armed() || next_.fired()) ask();
}

void HealthCheck::on_end(std::optional<Error> why) {
  refused_ = why ? why->detail : "the connection was closed";
  wake();
}

void HealthCheck::conclude(bool good, std::string reason) {
  call_.reset();
  connection_.reset();
  limit_.disarm();
  failures_ = good ? 0 : failures_ + 1;
  if (!good) reason_ = std::move(reason);
  const bool now = good || (passing_ && failures_ < kFailuresThatCount);
  if (now != passing_) {
    passing_ = now;
    owner_.wake();
  }
  next_.arm(good ? kWhilePassing : kWhileFailing);
}

}  // namespace tulle::cli
