// The seam: the order of asking, waiting and waking, what is kept across configurations.
#include "sidecar/policies/chain.hpp"

#include <gtest/gtest.h>

#include "core/net/simulated_engine.hpp"
#include "sidecar/policies/broadcast.hpp"
#include "sidecar/policies/route_chains.hpp"
#include "sidecar/policies/timeout/timeout.hpp"

namespace tulle::policies {
namespace {

class Idle final : public Task {
 public:
  using Task::Task;
  int runs = 0;

 private:
  void run() override { ++runs; }
};

class Host final : public PolicyHost {
 public:
  explicit Host(Loop& loop) : loop_(loop) {}
  Loop& loop() override { return loop_; }
  Rng& rng() override { return rng_; }
  StatId counter(std::string_view, std::string_view, Labels) override { return 0; }
  StatId gauge(std::string_view, std::string_view, Labels) override { return 0; }
  void count(StatId, int64_t) override {}
  void tell_siblings(const Site&, std::shared_ptr<const Note>) override {}

 private:
  Loop& loop_;
  Rng rng_{1};
};

// Notes that it was asked and answers as it was told.
class Scripted final : public Policy {
 public:
  Scripted(std::string& log, char name) : log_(log), name_(name) {}
  Verdict::Kind answer = Verdict::Kind::proceed;
  Waiters waiters;

 private:
  class Call final : public Pending {
   public:
    explicit Call(std::string& log) : log_(log) {}
    ~Call() override { log_ += '-'; }

   private:
    std::string& log_;
  };
  Verdict on_request(Request& request) override {
    log_ += name_;
    if (answer == Verdict::Kind::wait) {
      if (request.waiter.pending == nullptr) request.waiter.pending = std::make_unique<Call>(log_);
      waiters.add(request.waiter);
      return Verdict::wait();
    }
    if (answer == Verdict::Kind::reply) return Verdict::reply({Code::denied, Origin::local, "no"});
    return {};
  }
  std::string& log_;
  const char name_;
};

class ChainTest : public ::testing::Test {
 protected:
  ChainTest() : loop_(clock_), host_(loop_), task_(loop_), request_(task_) {
    for (size_t i = 0; i < 4; ++i) {
      policies_[i] = std::make_shared<Scripted>(log_, static_cast<char>('a' + i));
      (i % 2 == 0 ? route_ : cluster_).put(i, policies_[i], at({Moment::request}));
    }
  }
  Verdict::Kind ask() { return ask_request(&route_, &cluster_, request_, next_).kind; }

  SimulatedClock clock_;
  SimulatedLoop loop_;
  Host host_;
  Idle task_;
  std::string log_;
  std::array<std::shared_ptr<Scripted>, 4> policies_;
  Chain route_, cluster_;
  Request request_;
  uint8_t next_ = 0;
};

TEST_F(ChainTest, RouteAndClusterAreAskedInTheCatalogsOrder) {
  EXPECT_EQ(ask(), Verdict::Kind::proceed);
  EXPECT_EQ(log_, "abcd");
  log_.clear();
  EXPECT_EQ(ask_request(nullptr, &cluster_, request_, next_).kind, Verdict::Kind::proceed);
  EXPECT_EQ(log_, "bd");
}

TEST_F(ChainTest, AReplyEndsTheWalk) {
  policies_[1]->answer = Verdict::Kind::reply;
  EXPECT_EQ(ask(), Verdict::Kind::reply);
  EXPECT_EQ(log_, "ab");
}

TEST_F(ChainTest, WhoWaitsIsAskedAgainAndNobodyBeforeIt) {
  policies_[2]->answer = Verdict::Kind::wait;
  EXPECT_EQ(ask(), Verdict::Kind::wait);
  EXPECT_EQ(ask(), Verdict::Kind::wait) << "woken for another reason: it may be asked again";
  EXPECT_EQ(log_, "abcc");
  clock_.run_until_quiet();
  EXPECT_EQ(task_.runs, 0);
  policies_[2]->waiters.wake_all();
  clock_.run_until_quiet();
  EXPECT_EQ(task_.runs, 1);
  policies_[2]->answer = Verdict::Kind::proceed;
  EXPECT_EQ(ask(), Verdict::Kind::proceed);
  EXPECT_EQ(log_, "abccc-d") << "what it kept with the request has gone with its answer";
  EXPECT_EQ(next_, 0);
}

TEST_F(ChainTest, APolicyThatGoesWakesThoseWhoWaitAtIt) {
  policies_[0]->answer = Verdict::Kind::wait;
  EXPECT_EQ(ask(), Verdict::Kind::wait);
  policies_[0].reset();
  route_ = {};
  clock_.run_until_quiet();
  EXPECT_EQ(task_.runs, 1);
  EXPECT_EQ(ask(), Verdict::Kind::proceed);
}

std::shared_ptr<const PolicyConfig> timeout_of(Duration request) {
  auto config = std::make_shared<timeout::Config>();
  config->request = request;
  return config;
}

routing::RouteTable table_of(Duration request) {
  routing::Route route;
  route.name = "r";
  route.virtual_host = "h";
  route.policies = {{&catalog()[0], timeout_of(request)}};
  std::vector<routing::VirtualHost> hosts(1);
  hosts[0] = {"h", {"*"}, {route}};
  return routing::RouteTable("t", std::move(hosts), false);
}

TEST_F(ChainTest, PoliciesStayWhileTheirConfigurationIsEqual) {
  RouteChains chains(host_);
  const routing::RouteTable first = table_of(1s), same = table_of(1s), other = table_of(2s);
  const auto policy = [&](const routing::RouteTable& table) {
    return &chains.of(table, table.virtual_hosts()[0].routes[0])->at(0);
  };
  const Policy* made = policy(first);
  chains.adopt(same);
  chains.forget([&](const routing::RouteTable* table) { return table == &same; });
  EXPECT_EQ(chains.tables(), 1u);
  EXPECT_EQ(policy(same), made);
  chains.adopt(other);
  EXPECT_NE(policy(other), made);
}

class Received final : public Broadcast::Receiver {
 public:
  std::vector<std::string> clusters;

 private:
  void take(const std::string& cluster, const PolicyType&, const Note&) override {
    clusters.push_back(cluster);
  }
};

TEST_F(ChainTest, ANoteReachesTheOtherWorkersThatStillLive) {
  Broadcast broadcast;
  Received sender, stays, leaves;
  for (Received* one : {&sender, &stays, &leaves}) broadcast.join(*one, loop_);
  broadcast.post(sender, "orders", catalog()[0], std::make_shared<Note>());
  broadcast.leave(leaves);
  clock_.run_until_quiet();
  EXPECT_EQ(stays.clusters, std::vector<std::string>{"orders"});
  EXPECT_TRUE(sender.clusters.empty());
  EXPECT_TRUE(leaves.clusters.empty());
}

}  // namespace
}  // namespace tulle::policies
