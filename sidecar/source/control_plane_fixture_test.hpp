// FakeControlPlane: serves whatever a test puts into it to ADS streams, over mutual TLS on a simulated
// network. What the real one would build for a node is the test's business.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/http/server.hpp"
#include "sidecar/discovery/ads_service_fixture_test.hpp"

namespace tulle::source::testing {

class FakeControlPlane final : public discovery::testing::AdsService {
 public:
  FakeControlPlane(Loop& loop, Network& network, const Address& at,
                   std::shared_ptr<const TlsContext> tls)
      : AdsService(loop), server_(loop, *this, options_of(std::move(tls))) {
    unknown.emplace();  // silence, but for names that a test says are unknown
    EXPECT_TRUE(server_.listen(network, at, {}));
  }

  std::optional<xds::Node> node() const {
    return streams.empty() ? std::nullopt : streams.back()->session.node();
  }
  std::string rejection(xds::ResourceType type) const {
    const auto state = streams.back()->session.state(type);
    return state.rejection ? state.rejection->text : "";
  }
  bool synced() const { return !streams.empty() && streams.back()->session.synced(); }
  bool asked_for(xds::ResourceType type, const std::string& name) const {
    return !streams.empty() && streams.back()->session.subscription(type).names().contains(name);
  }

 private:
  static Server::Options options_of(std::shared_ptr<const TlsContext> tls) {
    Server::Options options;
    options.protocol = Protocol::http2;
    options.tls = std::move(tls);
    return options;
  }

  Server server_;
};

}  // namespace tulle::source::testing
