#include "sidecar/source/egress.hpp"

#include <gtest/gtest.h>

#include "core/net/simulated_engine.hpp"
#include "core/net/simulated_resolver.hpp"
#include "sidecar/config/hold_back.hpp"

namespace tulle::source {
namespace {

class Owner final : public Task {
 public:
  using Task::Task;
  Egress* egress = nullptr;
  int changes = 0;

 private:
  void run() override {
    if (egress->advance()) ++changes;
  }
};

class EgressTest : public ::testing::Test {
 protected:
  EgressTest() {
    auto resolver = std::make_unique<SimulatedResolver>(loop_);
    resolver_ = resolver.get();
    egress_ = std::make_unique<Egress>(loop_, std::move(resolver), owner_);
    owner_.egress = egress_.get();
  }
  void want(const std::set<std::string, std::less<>>& names) {
    egress_->want(names);
    owner_.wake();
    pass(1s);
  }
  void pass(Duration time) { clock_.run_until(clock_.now() + time); }

  // What a worker would see of a destination.
  std::string seen(const std::string& name) {
    config::Pushed pushed;
    pushed.egress = egress_->resources(ours_);
    const config::Merged merged = config::compile_holding_back({}, pushed, {}, nullptr);
    EXPECT_TRUE(merged.others.empty()) << config::to_text(merged.others);
    EXPECT_TRUE(merged.held.empty());
    const config::Destination* found = merged.snapshot->find_destination(name);
    if (found == nullptr) return "missing";
    EXPECT_EQ(found->kind, config::Destination::Kind::external);
    const config::ClusterConfig* cluster = merged.snapshot->find_cluster("external|" + name);
    std::string text;
    for (const config::EndpointConfig& endpoint : cluster->endpoints) {
      text += (text.empty() ? "" : " ") + endpoint.address.to_string();
    }
    return text;
  }

  SimulatedClock clock_{3};
  SimulatedLoop loop_{clock_};
  Owner owner_{loop_};
  SimulatedResolver* resolver_ = nullptr;
  std::unique_ptr<Egress> egress_;
  BoundAddresses ours_;
};

TEST_F(EgressTest, IsThereWhenTheNameIsResolved) {
  resolver_->set("example.com", {"192.0.2.2", "192.0.2.1"});
  resolver_->set_delay(2s);
  want({"example.com:80"});
  EXPECT_EQ(seen("example.com:80"), "missing");
  pass(2s);
  EXPECT_EQ(seen("example.com:80"), "192.0.2.1:80 192.0.2.2:80");
}

TEST_F(EgressTest, AddressesNeedNoLookUp) {
  want({"192.0.2.7:8080", "[2001:db8::1]:80"});
  EXPECT_EQ(resolver_->lookups(), 0u);
  EXPECT_EQ(seen("192.0.2.7:8080"), "192.0.2.7:8080");
  EXPECT_EQ(seen("[2001:db8::1]:80"), "[2001:db8::1]:80");
}

TEST_F(EgressTest, AnUnknownHostHasNoEndpointAndIsTriedAgain) {
  want({"example.com:80"});
  EXPECT_EQ(seen("example.com:80"), "");
  resolver_->set("example.com", {"192.0.2.1"});
  pass(3s);
  EXPECT_EQ(seen("example.com:80"), "192.0.2.1:80");
  EXPECT_EQ(owner_.changes, 2);
}

TEST_F(EgressTest, AnAnswerIsKeptForItsTimeAndOverFailures) {
  resolver_->set("example.com", {"192.0.2.1"}, 60s);
  want({"example.com:80"});
  pass(50s);
  EXPECT_EQ(resolver_->lookups(), 1u);
  resolver_->set_silent(true);
  pass(10min);
  EXPECT_EQ(seen("example.com:80"), "192.0.2.1:80");
  EXPECT_LT(resolver_->lookups(), 20u);
  resolver_->set_silent(false);
  resolver_->set("example.com", {"192.0.2.9"}, 0s);
  pass(2min);
  EXPECT_EQ(seen("example.com:80"), "192.0.2.9:80");
}

TEST_F(EgressTest, OurOwnListenersAreNoDestination) {
  ours_["outbound"] = *Address::parse("127.0.0.1", 15001);
  resolver_->set("me.example", {"127.0.0.1", "192.0.2.1"});
  want({"127.0.0.1:15001", "me.example:15001", "127.0.0.1:15002"});
  EXPECT_EQ(seen("127.0.0.1:15001"), "");
  EXPECT_EQ(seen("me.example:15001"), "192.0.2.1:15001");
  EXPECT_EQ(seen("127.0.0.1:15002"), "127.0.0.1:15002");
}

TEST_F(EgressTest, ManyNamesAreLookedUpAFewAtATime) {
  std::set<std::string, std::less<>> names;
  for (int i = 0; i < 200; ++i) {
    names.insert("host-" + std::to_string(i) + ":80");
    resolver_->set("host-" + std::to_string(i), {"192.0.2.1"});
  }
  resolver_->set_delay(100ms);
  egress_->want(names);
  owner_.wake();
  pass(50ms);
  EXPECT_EQ(resolver_->lookups(), 32u);
  pass(2s);
  EXPECT_EQ(resolver_->lookups(), 200u);
  EXPECT_EQ(seen("host-199:80"), "192.0.2.1:80");
}

TEST_F(EgressTest, WhatIsNoLongerWantedIsGone) {
  resolver_->set("example.com", {"192.0.2.1"});
  want({"example.com:80"});
  egress_->want({});
  EXPECT_TRUE(egress_->advance());
  EXPECT_EQ(seen("example.com:80"), "missing");
}

}  // namespace
}  // namespace tulle::source
