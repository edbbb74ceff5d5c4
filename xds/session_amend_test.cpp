// Amending name by name tells a client the same as offering everything again.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "core/base/rng.hpp"
#include "xds/server_session.hpp"

namespace tulle::xds {
namespace {

std::shared_ptr<const Resource> resource(ResourceType type, const std::string& name,
                                         uint64_t content) {
  ResourceSet set;
  set.put({.type = type, .name = name, .bytes = name + "/" + std::to_string(content)});
  return set.all(type).begin()->second;
}

struct Truth {
  std::map<std::string, std::shared_ptr<const Resource>> resources;  // null: an error
  Offer offer(const Subscription& wants) const {
    Offer made;
    for (const auto& [name, each] : resources) {
      if (!wants.wants(name)) continue;
      if (each != nullptr) {
        made.resources.emplace(name, each);
      } else {
        made.errors.emplace(name, Status{kStatusNotFound, "no " + name});
      }
    }
    return made;
  }
};

class Pair {
 public:
  Pair(ResourceType type, uint64_t seed) : type_(type), rng_(seed) {
    for (int i = 0; i < 6; ++i) truth_.resources["r" + std::to_string(i)] = nullptr;
    subscribe();
  }

  void step() {
    switch (rng_.below(4)) {
      case 0: return change();
      case 1: return subscribe();
      case 2: return answer();
      case 3: return exchange();
    }
  }

 private:
  void change() {
    const std::string name = "r" + std::to_string(rng_.below(6));
    auto& each = truth_.resources[name];
    each = rng_.below(3) == 0 ? nullptr : resource(type_, name, rng_.below(3));
    whole_.offer(type_, truth_.offer(whole_.subscription(type_)));
    if (!amended_.subscription(type_).wants(name)) return;
    std::optional<Status> error;
    if (each == nullptr) error = Status{kStatusNotFound, "no " + name};
    amended_.amend(type_, name, each, std::move(error));
  }

  void subscribe() {
    names_.clear();
    for (const auto& [name, each] : truth_.resources) {
      if (rng_.below(2) == 0) names_.push_back(name);
    }
    if (names_.empty()) names_.push_back("r0");
    request(std::nullopt);
    for (ServerSession* session : {&whole_, &amended_}) {
      if (session->take_changed_subscriptions().empty()) continue;
      session->offer(type_, truth_.offer(session->subscription(type_)));
    }
    whole_.offer(type_, truth_.offer(whole_.subscription(type_)));
  }

  void answer() {
    if (nonce_.empty()) return;
    request(rng_.below(3) == 0 ? std::optional(Status{3, "no"}) : std::nullopt);
  }

  void request(std::optional<Status> error) {
    DiscoveryRequest request;
    request.type_url = type_url(type_);
    request.resource_names = names_;
    request.response_nonce = nonce_;
    request.error_detail = std::move(error);
    const std::string bytes = encode(request);
    ASSERT_TRUE(whole_.receive(bytes, {}));
    ASSERT_TRUE(amended_.receive(bytes, {}));
  }

  void exchange() {
    const auto a = whole_.next_response({});
    const auto b = amended_.next_response({});
    ASSERT_EQ(a.has_value(), b.has_value());
    if (!a) return;
    const auto x = decode_response(*a);
    const auto y = decode_response(*b);
    ASSERT_TRUE(x && y);
    const auto texts = [](const DiscoveryResponse& response) {
      std::vector<std::string> all;
      for (const PackedResource& each : response.resources) all.push_back(each.bytes);
      for (const ResourceError& each : response.resource_errors) all.push_back("!" + each.name);
      return all;
    };
    EXPECT_EQ(texts(*x), texts(*y));
    EXPECT_EQ(x->version_info, y->version_info);
    ASSERT_EQ(x->nonce, y->nonce);
    nonce_ = x->nonce;
  }

  const ResourceType type_;
  Rng rng_;
  Truth truth_;
  ServerSession whole_{{}};
  ServerSession amended_{{}};
  std::vector<std::string> names_;
  std::string nonce_;
};

TEST(ServerSessionAmend, TellsTheSameAsOfferingEverything) {
  for (const ResourceType type : {ResourceType::endpoints, ResourceType::cluster}) {
    for (uint64_t seed = 1; seed <= 200; ++seed) {
      Pair pair(type, seed);
      for (int i = 0; i < 100 && !::testing::Test::HasFailure(); ++i) pair.step();
      ASSERT_FALSE(::testing::Test::HasFailure()) << short_name(type) << " seed " << seed;
    }
  }
}

}  // namespace
}  // namespace tulle::xds
