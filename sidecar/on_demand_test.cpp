// Requests for destinations that the snapshot lacks: asked for once, waited for, refused in the end.
#include <gtest/gtest.h>

#include <deque>

#include "core/http/server.hpp"
#include "core/net/simulated_engine.hpp"
#include "core/net/simulated_network.hpp"
#include "sidecar/worker.hpp"
#include "tests/support/talk.hpp"

namespace tulle {
namespace {

using config::Destination;
using config::Destinations;
using config::Snapshot;

std::shared_ptr<const routing::RouteTable> table_to(routing::ClusterIndex cluster) {
  routing::Route route;
  route.name = "everything";
  route.match.path.text.kind = routing::StringMatch::Kind::prefix;
  route.match.path.text.text = "/";
  routing::Forward forward;
  forward.targets.emplace_back().cluster = cluster;
  route.action = std::move(forward);
  std::vector<routing::VirtualHost> hosts(1);
  hosts[0].name = "all";
  hosts[0].domains = {"*"};
  hosts[0].routes.push_back(std::move(route));
  return std::make_shared<routing::RouteTable>("routes", std::move(hosts), false);
}

// What the main loop would be: hears that something has been asked for.
class MainLoop final : public Task {
 public:
  using Task::Task;
  int runs = 0;

 private:
  void run() override { ++runs; }
};

class OnDemand : public ::testing::Test {
 protected:
  OnDemand() {
    EXPECT_TRUE(origin_.listen(*origin_network_, *Address::parse("10.0.0.3", 8080), {}));
    origin_service_.script.head = testing::response_head(200);
    origin_service_.script.body = "cooked";
    start({});
  }
  ~OnDemand() override {
    talks_.clear();
    pool_.reset();
    worker_.reset();
  }

  void start(std::vector<Destination> destinations, DestinationRequests* requests) {
    environment_.reset(new WorkerEnvironment{.node_id = "orders-1",
                                             .stats = stats_,
                                             .admissions = admissions_,
                                             .reuse_port = false,
                                             .destinations = requests});
    worker_ = std::make_unique<Worker>(loop_, *sidecar_network_, *environment_, 1);
    push(std::move(destinations));
    Pool::Options options;
    options.address = *Address::parse("10.0.0.2", 15001);
    options.protocol = Protocol::http1;
    pool_ = std::make_unique<Pool>(loop_, *client_network_, std::move(options), nullptr);
  }
  void start(std::vector<Destination> destinations) { start(std::move(destinations), &requests_); }

  void push(std::vector<Destination> destinations) {
    auto listener = std::make_shared<config::ListenerConfig>();
    listener->name = "outbound";
    listener->address = *Address::parse("10.0.0.2", 15001);
    listener->routes = std::make_shared<routing::RouteTable>(
        "none", std::vector<routing::VirtualHost>(), false);
    listener->on_demand = true;
    auto cluster = std::make_shared<config::ClusterConfig>();
    cluster->name = "kitchen";
    cluster->endpoints.emplace_back().address = *Address::parse("10.0.0.3", 8080);
    cluster->endpoints[0].locality = std::make_shared<config::Locality>();
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->generation = ++generation_;
    snapshot->version = "v" + std::to_string(generation_);
    snapshot->listeners.push_back(std::move(listener));
    snapshot->clusters.push_back(std::move(cluster));
    snapshot->cluster_names["kitchen"] = 0;
    snapshot->destinations = std::make_shared<Destinations>(std::move(destinations));
    EXPECT_TRUE(worker_->adopt(std::move(snapshot)).has_value());
  }

  static Server::Options http1_server() {
    Server::Options options;
    options.protocol = Protocol::http1;
    return options;
  }
  static Destination kitchen() {
    return {"kitchen:8080", Destination::Kind::mesh, table_to(0), "k1", 0};
  }

  testing::Heard& ask(const std::string& authority) {
    testing::Script& script = scripts_.emplace_back();
    script.head = request_of(authority);
    testing::Heard& heard = heard_.emplace_back();
    talks_.push_back(std::make_unique<testing::Talk>(loop_, *pool_, script, heard));
    return heard;
  }
  static Head request_of(const std::string& authority) {
    Head head;
    head.method = Method::get;
    head.method_text = "GET";
    head.scheme = "http";
    head.authority = authority;
    head.path = "/";
    head.ended = true;
    return head;
  }
  bool settle(const testing::Heard& heard, Duration limit = 30s) {
    return clock_.run_while_not([&] { return heard.over; }, limit);
  }
  static std::string error_of(const testing::Heard& heard) {
    if (!heard.head) return "no answer";
    return std::string(heard.head->fields.get("tulle-error").value_or(""));
  }

  SimulatedClock clock_{7};
  SimulatedNetwork network_{clock_};
  SimulatedLoop loop_{clock_};
  std::unique_ptr<Network> client_network_ = network_.host(loop_, "10.0.0.1");
  std::unique_ptr<Network> sidecar_network_ = network_.host(loop_, "10.0.0.2");
  std::unique_ptr<Network> origin_network_ = network_.host(loop_, "10.0.0.3");
  testing::ScriptedService origin_service_{loop_};
  Server origin_{loop_, origin_service_, http1_server()};
  MainLoop main_{loop_};
  DestinationRequests requests_{loop_, main_};
  StatRegistry stats_;
  routing::Admissions admissions_;
  std::unique_ptr<WorkerEnvironment> environment_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<Pool> pool_;
  std::deque<testing::Script> scripts_;
  std::deque<testing::Heard> heard_;
  std::deque<std::unique_ptr<testing::Talk>> talks_;
  uint64_t generation_ = 0;
};

TEST_F(OnDemand, ADestinationThatIsThereIsServedAtOnce) {
  push({kitchen()});
  const testing::Heard& heard = ask("Kitchen:8080");
  ASSERT_TRUE(settle(heard));
  EXPECT_EQ(heard.head->status, 200);
  EXPECT_EQ(heard.body, "cooked");
  EXPECT_TRUE(requests_.take_asked().empty());
}

TEST_F(OnDemand, AMissingOneIsAskedForOnceAndServedWhenItComes) {
  const testing::Heard& first = ask("kitchen:8080");
  const testing::Heard& second = ask("kitchen:8080");
  EXPECT_FALSE(settle(second, 1s));
  EXPECT_EQ(requests_.take_asked(), std::vector<std::string>{"kitchen:8080"});
  EXPECT_EQ(main_.runs, 1);
  push({});  // some other change: they go on waiting
  EXPECT_FALSE(settle(second, 1s));
  EXPECT_FALSE(first.over);
  push({kitchen()});
  ASSERT_TRUE(settle(first));
  ASSERT_TRUE(settle(second));
  EXPECT_EQ(first.body, "cooked");
  EXPECT_EQ(second.body, "cooked");
  EXPECT_TRUE(requests_.take_asked().empty());
  EXPECT_EQ(worker_->exchanges(), 0u);
}

TEST_F(OnDemand, SilenceEndsAsConfigMissingAfterFiveSeconds) {
  const Instant asked = clock_.now();
  const testing::Heard& heard = ask("kitchen:8080");
  ASSERT_TRUE(settle(heard));
  EXPECT_EQ(heard.head->status, 503);
  EXPECT_EQ(error_of(heard), "config_missing");
  EXPECT_GE(clock_.now() - asked, 5s);
  EXPECT_LT(clock_.now() - asked, 6s);
  EXPECT_EQ(origin_service_.heard.size(), 0u);
  // The name stays asked for: the answer may still come.
  push({kitchen()});
  const testing::Heard& late = ask("kitchen:8080");
  ASSERT_TRUE(settle(late));
  EXPECT_EQ(late.body, "cooked");
}

TEST_F(OnDemand, WithoutAnybodyToAskItFailsAtOnce) {
  worker_.reset();
  pool_.reset();
  start({}, nullptr);
  const Instant asked = clock_.now();
  const testing::Heard& heard = ask("kitchen:8080");
  ASSERT_TRUE(settle(heard));
  EXPECT_EQ(error_of(heard), "config_missing");
  EXPECT_LT(clock_.now() - asked, 1s);
}

TEST_F(OnDemand, WhatIsNoDestinationIsNotAskedFor) {
  const testing::Heard& heard = ask("kit%chen:8080");
  ASSERT_TRUE(settle(heard));
  EXPECT_EQ(error_of(heard), "config_missing");
  EXPECT_TRUE(requests_.take_asked().empty());
}

TEST_F(OnDemand, ARefusedDestinationIsDenied) {
  push({{"example.com:80", Destination::Kind::refused, nullptr, "", 0}});
  const testing::Heard& heard = ask("example.com");
  ASSERT_TRUE(settle(heard));
  EXPECT_EQ(heard.head->status, 403);
  EXPECT_EQ(error_of(heard), "denied");
}

TEST_F(OnDemand, ACallerWhoLeavesMeanwhileHarmsNobody) {
  ask("kitchen:8080");
  EXPECT_FALSE(settle(heard_.back(), 100ms));
  EXPECT_EQ(worker_->exchanges(), 1u);
  talks_.back()->stop();
  // A half-closed HTTP/1 connection may still read: that nobody does shows when the answer is sent.
  EXPECT_TRUE(clock_.run_while_not([&] { return worker_->exchanges() == 0; }, 10s));
  push({kitchen()});
  EXPECT_TRUE(clock_.run_until_quiet());
}

TEST_F(OnDemand, MadeUpNamesAreBounded) {
  for (size_t i = 0; i < DestinationRequests::kMost; ++i) {
    ASSERT_TRUE(requests_.ask("host-" + std::to_string(i) + ":80"));
  }
  const testing::Heard& heard = ask("one-too-many");
  ASSERT_TRUE(settle(heard));
  EXPECT_EQ(error_of(heard), "config_missing");
  EXPECT_EQ(requests_.take_refused(), 1u);
  requests_.forget("host-7:80");
  EXPECT_TRUE(requests_.ask("one-too-many:80"));
}

TEST_F(OnDemand, UseIsReportedAfterSomeMinutes) {
  push({kitchen(), {"other:80", Destination::Kind::mesh, table_to(0), "o1", 0}});
  ASSERT_TRUE(settle(ask("kitchen:8080")));
  ASSERT_TRUE(settle(ask("kitchen:8080")));
  EXPECT_TRUE(requests_.take_used().empty());
  clock_.run_until(clock_.now() + 6min);
  EXPECT_EQ(requests_.take_used(), std::vector<std::string>{"kitchen:8080"});
  clock_.run_until(clock_.now() + 20min);
  EXPECT_TRUE(requests_.take_used().empty());
}

}  // namespace
}  // namespace tulle
