#include "sidecar/source/pushed_source.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/net/simulated_engine.hpp"
#include "core/net/simulated_network.hpp"
#include "sidecar/config/resource_json.hpp"
#include "sidecar/source/control_plane_fixture_test.hpp"
#include "tests/support/certificates.hpp"

namespace tulle::source {
namespace {

using nlohmann::json;
using xds::ResourceType;

const tulle::testing::TestCa& authority() {
  static const tulle::testing::TestCa ca;
  return ca;
}

std::shared_ptr<const TlsContext> control_plane_tls() {
  const auto leaf = authority().issue_spiffe("spiffe://mesh.test/ns/tulle-system/sa/control-plane");
  TlsOptions options;
  options.certificate_pem = leaf.certificate_pem;
  options.key_pem = leaf.key_pem;
  options.trust_pem = authority().pem();
  options.peer_sans = {{SanMatcher::Type::uri, SanMatcher::Kind::prefix, "spiffe://mesh.test/"}};
  options.alpn = {"h2"};
  return *TlsContext::server(options, true);
}

std::string type(const std::string& name) { return "type.googleapis.com/" + name; }

xds::Resource resource(const json& value) {
  config::Problems problems;
  auto read = config::resource_from_json(value.dump(), "", problems);
  EXPECT_TRUE(read) << config::to_text(problems);
  return *read;
}

json manager(json routes) {
  routes["@type"] = type(
      "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager");
  const std::string http = "envoy.extensions.filters.http.";
  routes["http_filters"] = json::array(
      {{{"name", "on_demand"}, {"typed_config", {{"@type", type(http + "on_demand.v3.OnDemand")}}}},
       {{"name", "router"}, {"typed_config", {{"@type", type(http + "router.v3.Router")}}}}});
  return routes;
}

json outbound(const std::string& ip, int port) {
  return {{"@type", type("envoy.config.listener.v3.Listener")},
          {"name", "outbound"},
          {"traffic_direction", "OUTBOUND"},
          {"address", {{"socket_address", {{"address", ip}, {"port_value", port}}}}},
          {"filter_chains",
           json::array({{{"filters", json::array({{{"name", "http"},
                                                   {"typed_config",
                                                    manager({{"route_config", json::object()}})}}})}}})}};
}

// A port that a stranger listens on.
class TakenPort {
 public:
  TakenPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::listen(socket_, 1), 0);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    port_ = ntohs(at.sin_port);
  }
  ~TakenPort() { ::close(socket_); }
  int port() const { return port_; }

 private:
  int socket_;
  int port_ = 0;
};

// What an owner of the source does: advances it, and keeps what a worker would have.
class Owner final : public Task {
 public:
  using Task::Task;
  ConfigSource* source = nullptr;
  int pushes = 0;

 private:
  void run() override {
    if (source != nullptr && source->advance()) ++pushes;
  }
};

class PushedSourceTest : public ::testing::Test {
 protected:
  PushedSourceTest() {
    std::filesystem::remove_all(state_);
    start_control_plane();
  }
  ~PushedSourceTest() override {
    stop();
    control_plane_.reset();
    stats_.detach(shard_);
    std::filesystem::remove_all(state_);
  }

  void start_control_plane() {
    control_plane_ = std::make_unique<testing::FakeControlPlane>(loop_, *control_plane_network_,
                                                                 address_, control_plane_tls());
  }

  config::Loaded loaded(const std::string& egress) {
    const auto leaf = authority().issue_spiffe("spiffe://mesh.test/ns/default/sa/orders");
    const json bootstrap = {
        {"node", {{"id", "orders-1"}}},
        {"control_plane", {{"address", address_.to_string()}, {"trust_bundle", "root.pem"}}},
        {"identity",
         {{"certificate", "c"}, {"key", "k"}, {"trust_bundle", "t"}, {"trust_domain", "mesh.test"}}},
        {"state_dir", state_.string()},
        {"egress", egress},
        {"workload", {{"service", "orders"}, {"outbound", "127.0.0.1:0"}}}};
    config::BootstrapRead read = config::read_bootstrap(bootstrap.dump());
    EXPECT_TRUE(read.bootstrap) << config::to_text(read.problems);
    config::Loaded loaded;
    loaded.bootstrap = std::move(read.bootstrap);
    loaded.materials.identity = config::Identity{leaf.certificate_pem, leaf.key_pem,
                                                 authority().pem(), "mesh.test", "test"};
    loaded.snapshot =
        config::compile_holding_back({}, {}, loaded.materials, nullptr).snapshot;
    return loaded;
  }

  void start(const std::string& egress = "deny") {
    auto opened = PushedSource::open(
        {loop_, *sidecar_network_, stats_, shard_, owner_, ++seed_}, loaded(egress));
    ASSERT_TRUE(opened) << opened.error().detail;
    source_ = std::move(*opened);
    owner_.source = source_.get();
    owner_.wake();
  }
  void stop() {
    owner_.source = nullptr;
    source_.reset();
  }
  template <class Condition>
  bool until(Condition condition, Duration limit = 60s) {
    return clock_.run_while_not(condition, limit);
  }
  void pass(Duration time) { clock_.run_until(clock_.now() + time); }

  // The address that was registered, as the control plane's listener has it.
  void push_outbound() {
    ASSERT_TRUE(until([&] { return control_plane_->node().has_value(); }));
    const json metadata = json::parse(control_plane_->node()->metadata_json);
    const auto at = Address::parse(metadata["tulle"]["outbound"].get<std::string>());
    ASSERT_TRUE(at);
    control_plane_->content.put(resource(outbound(at->ip(), at->port())));
    control_plane_->push();
  }
  void put_destination(const std::string& name, int port) {
    auto& content = control_plane_->content;
    content.put(resource({{"@type", type("envoy.config.listener.v3.Listener")},
                          {"name", name},
                          {"api_listener",
                           {{"api_listener",
                             manager({{"rds", {{"route_config_name", "to " + name},
                                               {"config_source", {{"ads", json::object()}}}}}})}}}}));
    content.put(resource(
        {{"@type", type("envoy.config.route.v3.RouteConfiguration")},
         {"name", "to " + name},
         {"virtual_hosts",
          json::array({{{"name", "all"},
                        {"domains", json::array({"*"})},
                        {"routes", json::array({{{"match", {{"prefix", "/"}}},
                                                 {"route", {{"cluster", name}}}}})}}})}}));
    content.put(resource({{"@type", type("envoy.config.cluster.v3.Cluster")},
                          {"name", name},
                          {"type", "EDS"},
                          {"eds_cluster_config", {{"eds_config", {{"ads", json::object()}}}}}}));
    put_endpoints(name, port);
  }
  void put_endpoints(const std::string& name, int port) {
    control_plane_->content.put(resource(
        {{"@type", type("envoy.config.endpoint.v3.ClusterLoadAssignment")},
         {"cluster_name", name},
         {"endpoints",
          json::array({{{"lb_endpoints",
                         json::array({{{"endpoint",
                                        {{"address",
                                          {{"socket_address",
                                            {{"address", "10.0.0.9"}, {"port_value", port}}}}}}}}})}}})}}));
    control_plane_->push();
  }
  const config::Destination* find(const std::string& name) {
    return source_->snapshot()->find_destination(name);
  }
  int port_of(const std::string& cluster) {
    const config::ClusterConfig* found = source_->snapshot()->find_cluster(cluster);
    return found == nullptr || found->endpoints.empty() ? 0 : found->endpoints[0].address.port();
  }
  // Up, with "kitchen:8080" in use.
  void serve_kitchen() {
    start();
    push_outbound();
    put_destination("kitchen:8080", 1);
    ASSERT_TRUE(until([&] { return source_->complete(); }));
    source_->requests()->ask("kitchen:8080");
    ASSERT_TRUE(until([&] { return find("kitchen:8080") != nullptr; }));
  }

  const std::filesystem::path state_ =
      std::filesystem::temp_directory_path() / ("tulle-pushed-" + std::to_string(::getpid()));
  const Address address_ = *Address::parse("10.0.0.1", 15012);
  SimulatedClock clock_{11};
  SimulatedNetwork network_{clock_};
  SimulatedLoop loop_{clock_};
  std::unique_ptr<Network> control_plane_network_ = network_.host(loop_, "10.0.0.1");
  std::unique_ptr<Network> sidecar_network_ = network_.host(loop_, "10.0.0.2");
  StatRegistry stats_;
  StatShard shard_;
  Owner owner_{loop_};
  std::unique_ptr<testing::FakeControlPlane> control_plane_;
  std::unique_ptr<ConfigSource> source_;
  uint64_t seed_ = 0;
};

TEST_F(PushedSourceTest, ReadyWhenTheOwnListenersAreThere) {
  start();
  EXPECT_TRUE(until([&] { return control_plane_->streams.size() == 1; }));
  pass(10s);
  EXPECT_FALSE(source_->complete());
  push_outbound();
  ASSERT_TRUE(until([&] { return source_->complete(); }));
  ASSERT_EQ(source_->snapshot()->listeners.size(), 1u);
  EXPECT_TRUE(source_->snapshot()->listeners[0]->on_demand);
  EXPECT_NE(source_->bound().at("outbound").port(), 0);
}

TEST_F(PushedSourceTest, DestinationsComeWhenTheyAreAskedFor) {
  serve_kitchen();
  EXPECT_EQ(port_of("kitchen:8080"), 1);
  put_endpoints("kitchen:8080", 2);
  EXPECT_TRUE(until([&] { return port_of("kitchen:8080") == 2; }));
  EXPECT_TRUE(until([&] { return control_plane_->synced(); }));
}

TEST_F(PushedSourceTest, OnlyAnAnswerMakesADestinationUnknown) {
  control_plane_->unknown = std::set<std::string>{"evil.example:80"};
  serve_kitchen();
  source_->requests()->ask("evil.example:80");
  source_->requests()->ask("silent.example:80");
  ASSERT_TRUE(until([&] { return find("evil.example:80") != nullptr; }));
  EXPECT_EQ(find("evil.example:80")->kind, config::Destination::Kind::refused);
  pass(1min);
  EXPECT_EQ(find("silent.example:80"), nullptr);
}

TEST_F(PushedSourceTest, ExternalDestinationsByAddress) {
  control_plane_->unknown = std::set<std::string>{"192.0.2.1:80"};
  start("allow");
  push_outbound();
  ASSERT_TRUE(until([&] { return source_->complete(); }));
  source_->requests()->ask("192.0.2.1:80");
  ASSERT_TRUE(until([&] { return find("192.0.2.1:80") != nullptr; }));
  EXPECT_EQ(find("192.0.2.1:80")->kind, config::Destination::Kind::external);
  EXPECT_EQ(port_of("external|192.0.2.1:80"), 80);
}

TEST_F(PushedSourceTest, AFaultIsRejectedWithItsReasonAndTheRestGoesOn) {
  serve_kitchen();
  json bad = {{"@type", type("envoy.config.cluster.v3.Cluster")},
              {"name", "kitchen:8080"},
              {"lb_policy", "MAGLEV"}};
  control_plane_->content.put(resource(bad));
  put_endpoints("kitchen:8080", 5);
  ASSERT_TRUE(until([&] { return !control_plane_->rejection(ResourceType::cluster).empty(); }));
  EXPECT_NE(control_plane_->rejection(ResourceType::cluster)
                .find("lb_policy: only ROUND_ROBIN and LEAST_REQUEST are supported yet"),
            std::string::npos)
      << control_plane_->rejection(ResourceType::cluster);
  EXPECT_TRUE(until([&] { return port_of("kitchen:8080") == 5; }));
  const ControlPlaneView* view = source_->control_plane();
  EXPECT_EQ(view->rejections.size(), 1u);
  EXPECT_TRUE(view->connected);
}

TEST_F(PushedSourceTest, NamesWithoutUseAreNoLongerAskedFor) {
  serve_kitchen();
  for (int i = 0; i < 10; ++i) {
    pass(10min);
    source_->requests()->report_use({"kitchen:8080"});
  }
  EXPECT_NE(find("kitchen:8080"), nullptr);
  pass(90min);
  EXPECT_EQ(find("kitchen:8080"), nullptr);
  EXPECT_FALSE(control_plane_->asked_for(ResourceType::listener, "kitchen:8080"));
}

TEST_F(PushedSourceTest, RestartsWithoutTheControlPlane) {
  serve_kitchen();
  const Address outbound = source_->bound().at("outbound");
  pass(5s);
  stop();
  release_port(outbound);
  control_plane_.reset();
  start();
  EXPECT_TRUE(source_->complete()) << "at once";
  EXPECT_EQ(source_->bound().at("outbound"), outbound);
  ASSERT_NE(find("kitchen:8080"), nullptr);
  EXPECT_EQ(port_of("kitchen:8080"), 1);
  pass(10min);
  ASSERT_NE(find("kitchen:8080"), nullptr);
  start_control_plane();
  push_outbound();
  put_destination("kitchen:8080", 7);
  EXPECT_TRUE(until([&] { return port_of("kitchen:8080") == 7; }));
}

TEST_F(PushedSourceTest, LeavingEndsTheStreamAndKeepsTheConfiguration) {
  serve_kitchen();
  source_->leave();
  EXPECT_TRUE(until([&] { return control_plane_->streams.size() == 0; }));
  owner_.wake();
  pass(1min);
  EXPECT_NE(find("kitchen:8080"), nullptr);
  EXPECT_EQ(source_->snapshot()->listeners.size(), 1u);
  EXPECT_FALSE(source_->control_plane()->connected);
}

TEST_F(PushedSourceTest, AnAddressInUseIsRejected) {
  serve_kitchen();
  // Somebody else's port: claimed by nobody here, and taken.
  const TakenPort taken;
  control_plane_->content.put(resource(outbound("127.0.0.1", taken.port())));
  control_plane_->push();
  ASSERT_TRUE(until([&] { return !control_plane_->rejection(ResourceType::listener).empty(); }));
  EXPECT_NE(control_plane_->rejection(ResourceType::listener).find("in use"), std::string::npos);
  EXPECT_EQ(source_->snapshot()->listeners.size(), 1u);
  EXPECT_NE(source_->bound().at("outbound").port(), taken.port());
}

}  // namespace
}  // namespace tulle::source
