// A client and a server session joined by a link that delays and cuts, while what the server has,
// what the client wants and what the client can use change at random. In the end both must agree,
// with few messages.
#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "core/base/rng.hpp"
#include "xds/client_session.hpp"
#include "xds/server_session.hpp"
#include "xds/session_fixture_test.hpp"

namespace tulle::xds {
namespace {

using testing::named_resource;

constexpr int kNames = 12;

class Pair {
 public:
  explicit Pair(uint64_t seed) : rng_(seed) {
    for (const ResourceType type : kResourceTypes) wanted_[index(type)] = random_names(type);
    for (const ResourceType type : kResourceTypes) client_.want(type, wanted_[index(type)]);
  }

  void step() {
    now_ = now_ + std::chrono::milliseconds(rng_.below(20));
    switch (rng_.below(12)) {
      case 0: return change_content();
      case 1: return change_wanted();
      case 2: return rng_.chance(0.3) ? cut() : deliver();
      case 3: return rng_.chance(0.5) ? connect() : decide();
      case 4: return decide();
      case 5: return push();
      default: return deliver();
    }
  }

  // Until nothing is under way any more; false: it does not end.
  bool settle() {
    connect();
    bad_.clear();
    // What was rejected differs from now on.
    for (auto& contents : contents_) {
      for (auto& [name, content] : contents) content += "!";
    }
    for (int i = 0; i < 1000; ++i) {
      push();
      decide();
      const bool quiet = to_server_.empty() && to_client_.empty() && !server_->wants_send() &&
                         !client_.undecided() && client_.next_deadline() == kNever;
      if (quiet) return true;
      now_ = now_ + 1s;
      while (!to_server_.empty() || !to_client_.empty()) deliver();
    }
    return false;
  }

  void check_agreement() {
    EXPECT_TRUE(server_->synced());
    for (const ResourceType type : kResourceTypes) {
      const auto& wanted = wanted_[index(type)];
      const auto& contents = contents_[index(type)];
      for (int i = 0; i < kNames; ++i) {
        const std::string name = "n" + std::to_string(i);
        const bool asked = wanted.contains(name) || (whole_set(type) && wanted.contains("*"));
        const auto has = contents.find(name);
        const Resource* held = client_.resources().find(type, name);
        if (!asked) {
          EXPECT_EQ(held, nullptr) << short_name(type) << " " << name;
        } else if (has != contents.end()) {
          ASSERT_NE(held, nullptr) << short_name(type) << " " << name;
          EXPECT_EQ(held->bytes, named_resource(type, name, has->second)->bytes);
        }
        const bool unknown = wanted.contains(name) && has == contents.end();
        EXPECT_EQ(client_.unknown(type).contains(name), unknown) << short_name(type) << " " << name;
        if (unknown) {
          EXPECT_EQ(held, nullptr);
        }
      }
    }
  }

  // With both sides settled nothing moves, whatever time passes.
  void check_silence() {
    const uint64_t before = messages_;
    for (int i = 0; i < 20; ++i) {
      now_ = now_ + 10s;
      push();
      decide();
      while (!to_server_.empty() || !to_client_.empty()) deliver();
    }
    EXPECT_EQ(messages_, before);
  }

  uint64_t messages_ = 0;
  uint64_t changes_ = 0;

 private:
  static size_t index(ResourceType type) { return static_cast<size_t>(type); }
  ResourceType any_type() { return kResourceTypes[rng_.below(kResourceTypes.size())]; }
  std::string any_name() { return "n" + std::to_string(rng_.below(kNames)); }

  ClientSession::Names random_names(ResourceType type) {
    ClientSession::Names names;
    if (type == ResourceType::listener) names.insert("*");
    if (type == ResourceType::cluster && rng_.chance(0.3)) names.insert("*");
    for (uint64_t count = rng_.below(5); count > 0; --count) names.insert(any_name());
    return names;
  }

  void change_content() {
    const ResourceType type = any_type();
    auto& contents = contents_[index(type)];
    const std::string name = any_name();
    if (rng_.chance(0.3)) {
      contents.erase(name);
    } else {
      contents[name] = std::to_string(rng_.below(4));
    }
    if (rng_.chance(0.2)) bad_.insert({type, any_name()});
    if (rng_.chance(0.2)) bad_.clear();
    ++changes_;
    if (rng_.chance(0.7)) push();
  }

  void change_wanted() {
    const ResourceType type = any_type();
    wanted_[index(type)] = random_names(type);
    client_.want(type, wanted_[index(type)]);
    ++changes_;
    pump();
  }

  void connect() {
    if (server_ != nullptr) return;
    server_ = std::make_unique<ServerSession>(
        ServerSession::Options{.control_plane = "cp", .cut_at = 100});
    client_.begin_stream();
    ++changes_;
    pump();
  }

  void cut() {
    if (server_ == nullptr) return;
    server_.reset();
    client_.end_stream();
    to_server_.clear();
    to_client_.clear();
  }

  void decide() {
    std::vector<Refusal> refusals;
    for (const ResourceKey& key : bad_) refusals.push_back({key, "bad"});
    if (client_.undecided()) client_.decide(refusals, now_);
    pump();
  }

  // Everything is offered anew, whether it has changed or not.
  void push() {
    if (server_ == nullptr) return;
    server_->take_changed_subscriptions();
    for (const ResourceType type : kSendOrder) offer(type);
    pump();
  }

  void offer(ResourceType type) {
    Offer offer;
    for (const auto& [name, content] : contents_[index(type)]) {
      offer.resources[name] = named_resource(type, name, content);
    }
    for (const std::string& name : server_->subscription(type).names()) {
      if (!offer.resources.contains(name)) offer.errors[name] = {kStatusNotFound, "none"};
    }
    server_->offer(type, std::move(offer));
  }

  void deliver() {
    if (server_ == nullptr) return;
    const bool up = !to_server_.empty() && (to_client_.empty() || rng_.chance(0.5));
    if (up) {
      ASSERT_TRUE(server_->receive(to_server_.front(), now_).has_value());
      to_server_.pop_front();
      for (const ResourceType type : server_->take_changed_subscriptions()) offer(type);
    } else if (!to_client_.empty()) {
      ASSERT_TRUE(client_.receive(to_client_.front(), now_).has_value());
      to_client_.pop_front();
    }
    pump();
  }

  // What either side has to say goes onto the link.
  void pump() {
    while (std::optional<std::string> request = client_.next_request(now_)) {
      to_server_.push_back(std::move(*request));
      ++messages_;
    }
    while (server_ != nullptr) {
      std::optional<std::string> response = server_->next_response(now_);
      if (!response) break;
      to_client_.push_back(std::move(*response));
      ++messages_;
    }
    // One response of a type is in flight.
    EXPECT_LE(to_client_.size(), kResourceTypes.size());
  }

  Rng rng_;
  Instant now_{1'000'000'000};
  ClientSession client_{Node{.id = "n"}};
  std::unique_ptr<ServerSession> server_;
  std::deque<std::string> to_server_, to_client_;
  std::array<ClientSession::Names, kResourceTypes.size()> wanted_;
  std::array<std::map<std::string, std::string>, kResourceTypes.size()> contents_;
  std::set<ResourceKey> bad_;
};

TEST(Sessions, AgreeInTheEndWhateverHappened) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Pair pair(seed);
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 200; ++i) pair.step();
      ASSERT_TRUE(pair.settle());
      pair.check_agreement();
      pair.check_silence();
    }
    // A change costs a few messages: with each new stream and each offer up to one for every type.
    EXPECT_LT(pair.messages_, pair.changes_ * 4 * kResourceTypes.size());
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace tulle::xds
