// Captured connections: those that the packet filter sends to the sidecar, on the simulated network.
// Where they were going decides, for HTTP and for opaque TCP, out and in.
#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "core/net/simulated_engine.hpp"
#include "core/net/simulated_network.hpp"
#include "sidecar/config/config_fixture_test.hpp"
#include "sidecar/worker.hpp"
#include "tests/support/recorder.hpp"

namespace tulle::accept {
namespace {

using nlohmann::json;
using tulle::testing::Recorder;

const std::string kType = "type.googleapis.com/envoy.";

json typed(const std::string& type, json fields) {
  fields["@type"] = kType + type;
  return {{"name", "x"}, {"typed_config", fields}};
}

json address(const std::string& ip, int port) {
  return {{"socket_address", {{"address", ip}, {"port_value", port}}}};
}

json http_to(const std::string& cluster, bool on_demand = false) {
  const json host = {{"name", "all"},
                     {"domains", {"*"}},
                     {"routes", {{{"match", {{"prefix", "/"}}}, {"route", {{"cluster", cluster}}}}}}};
  json filters = json::array();
  if (on_demand) filters.push_back(typed("extensions.filters.http.on_demand.v3.OnDemand", {}));
  filters.push_back(typed("extensions.filters.http.router.v3.Router", {}));
  return typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
               {{"stat_prefix", "http"},
                {"route_config",
                 {{"name", "r"}, {"virtual_hosts", on_demand ? json::array() : json::array({host})}}},
                {"http_filters", filters}});
}

json tcp_to(const std::string& cluster) {
  json fields = {{"stat_prefix", "tcp"}};
  fields[cluster.empty() ? "on_demand" : "cluster"] = cluster.empty() ? json::object() : json(cluster);
  return typed("extensions.filters.network.tcp_proxy.v3.TcpProxy", fields);
}

json listener(const std::string& name, const std::string& direction, int port) {
  const std::string inspectors = "extensions.filters.listener.";
  return {{"@type", kType + "config.listener.v3.Listener"},
          {"name", name},
          {"traffic_direction", direction},
          {"address", address("10.0.0.2", port)},
          {"listener_filters",
           {typed(inspectors + "original_dst.v3.OriginalDst", {}),
            typed(inspectors + "tls_inspector.v3.TlsInspector", {}),
            typed(inspectors + "http_inspector.v3.HttpInspector", {})}},
          {"listener_filters_timeout", "0.05s"},
          {"continue_on_listener_filters_timeout", true}};
}

json outbound() {
  json made = listener("captured-outbound", "OUTBOUND", 15001);
  made["use_original_dst"] = true;
  made["filter_chains"] = json::array(
      {{{"filters", json::array({http_to("", true)})},
        {"filter_chain_match", {{"application_protocols", {"http/1.0", "http/1.1", "h2c"}}}}}});
  made["default_filter_chain"] = {{"filters", json::array({tcp_to("")})}};
  return made;
}

json inbound() {
  json made = listener("captured-inbound", "INBOUND", 15006);
  made["filter_chains"] = json::array(
      {{{"filters", json::array({http_to("deliver")})},
        {"filter_chain_match", {{"destination_port", 8080}}}},
       {{"filters", json::array({tcp_to("deliver")})},
        {"filter_chain_match", {{"destination_port", 6379}}}}});
  return made;
}

json deliver() {
  const json source = {{"address", "127.0.0.6"}, {"port_value", 0}};
  const json source6 = {{"address", "::6"}, {"port_value", 0}};
  return {{"@type", kType + "config.cluster.v3.Cluster"},
          {"name", "deliver"},
          {"type", "ORIGINAL_DST"},
          {"lb_policy", "CLUSTER_PROVIDED"},
          {"upstream_bind_config",
           {{"source_address", source},
            {"extra_source_addresses", json::array({{{"address", source6}}})}}}};
}

json destination(const std::string& name, const json& filter) {
  return {{"@type", kType + "config.listener.v3.Listener"},
          {"name", name},
          {"api_listener", {{"api_listener", filter.at("typed_config")}}}};
}

json static_cluster(const std::string& name, const std::string& ip, int port) {
  const json endpoint = {{"endpoint", {{"address", address(ip, port)}}}};
  const json group = {{"lb_endpoints", json::array({endpoint})}};
  return {{"@type", kType + "config.cluster.v3.Cluster"},
          {"name", name},
          {"type", "STATIC"},
          {"load_assignment", {{"cluster_name", name}, {"endpoints", json::array({group})}}}};
}

// Takes connections, keeps them, and answers what looks like a request.
class Application final : public Task {
 public:
  Application(Loop& loop, Network& network, const std::string& at) : Task(loop) {
    auto listening = network.listen(*Address::parse(at), {}, *this);
    EXPECT_TRUE(listening.has_value());
    acceptor_ = std::move(*listening);
  }
  std::deque<std::unique_ptr<Recorder>> taken;
  Recorder& last() { return *taken.back(); }
  std::string peer() const { return taken.back()->stream->peer_address().ip(); }

 private:
  void run() override {
    while (auto stream = acceptor_->accept()) {
      taken.push_back(std::make_unique<Recorder>(std::move(stream)));
    }
  }
  std::unique_ptr<Acceptor> acceptor_;
};

class CapturedTest : public ::testing::Test {
 protected:
  ~CapturedTest() override {
    clients_.clear();
    worker_.reset();
  }
  void start(const std::vector<json>& resources) {
    const json bootstrap = {{"node", {{"id", "n"}, {"cluster", "n"}}},
                            {"admin", {{"address", "127.0.0.1"}, {"port", 0}}},
                            {"static_resources", resources}};
    const auto outcome = config::testing::compile_json(bootstrap);
    ASSERT_EQ(outcome.problems, "");
    worker_ = std::make_unique<Worker>(loop_, *sidecar_network_, environment_, 1);
    ASSERT_TRUE(worker_->adopt(outcome.snapshot).has_value());
  }
  // As the packet filter does it: to the port of the sidecar, however it was called.
  Recorder& call(const std::string& wanted, uint16_t captured_by) {
    auto& network = captured_by == 15001 ? out_ : in_;
    clients_.push_back(std::make_unique<Recorder>(network->connect(*Address::parse(wanted))));
    return *clients_.back();
  }
  template <class Done>
  bool until(Done done) {
    return clock_.run_while_not(done, 30s);
  }
  static SimulatedHostOptions to(uint16_t port) {
    SimulatedHostOptions options;
    options.redirect_to = *Address::parse("10.0.0.2", port);
    return options;
  }

  SimulatedClock clock_{17};
  SimulatedNetwork network_{clock_};
  SimulatedLoop loop_{clock_};
  std::unique_ptr<Network> out_ = network_.host(loop_, "10.0.0.1", to(15001));
  std::unique_ptr<Network> in_ = network_.host(loop_, "10.0.0.9", to(15006));
  std::unique_ptr<Network> sidecar_network_ = network_.host(loop_, "10.0.0.2");
  std::unique_ptr<Network> there_ = network_.host(loop_, "10.0.0.3");
  StatRegistry stats_;
  routing::Admissions admissions_;
  WorkerEnvironment environment_{
      .node_id = "n", .stats = stats_, .admissions = admissions_, .reuse_port = false};
  std::unique_ptr<Worker> worker_;
  std::deque<std::unique_ptr<Recorder>> clients_;
};

const std::string kRequest = "GET /x HTTP/1.1\r\nHost: another:99\r\n\r\n";
const std::string kAnswer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

// ---- what the application calls ---------------------------------------------------------------

TEST_F(CapturedTest, RequestsGoWhereTheConnectionWasGoingWhateverHostTheyName) {
  Application kitchen(loop_, *there_, "10.0.0.3:8080");
  start({outbound(), destination("10.96.0.7:80", http_to("kitchen")),
         static_cluster("kitchen", "10.0.0.3", 8080)});
  Recorder& client = call("10.96.0.7:80", 15001);
  client.send(kRequest);
  ASSERT_TRUE(until([&] { return !kitchen.taken.empty() && !kitchen.last().text.empty(); }));
  EXPECT_NE(kitchen.last().text.find("host: another:99"), std::string::npos) << "passed on as it is";
  kitchen.last().send(kAnswer);
  ASSERT_TRUE(until([&] { return client.text.ends_with("ok"); }));
  // The connection is kept, and leads there again.
  client.send(kRequest);
  ASSERT_TRUE(until([&] { return kitchen.last().text.find("GET", 10) != std::string::npos; }));
}

// A server that is declared opaque may speak first, and is not waited for.
TEST_F(CapturedTest, OpaqueDestinationsAreReachedAtOnce) {
  Application redis(loop_, *there_, "10.0.0.3:6379");
  start({outbound(), destination("10.96.0.8:6379", tcp_to("redis")),
         static_cluster("redis", "10.0.0.3", 6379)});
  Recorder& client = call("10.96.0.8:6379", 15001);
  ASSERT_TRUE(until([&] { return redis.taken.size() == 1; }));
  redis.last().send("hello");
  ASSERT_TRUE(until([&] { return client.text == "hello"; }));
}

TEST_F(CapturedTest, ADestinationThatNobodyKnowsIsNotDialled) {
  Application there(loop_, *there_, "10.0.0.3:8080");
  start({outbound()});
  Recorder& web = call("10.0.0.3:8080", 15001);
  web.send(kRequest);
  ASSERT_TRUE(until([&] { return web.text.find("config_missing") != std::string::npos; }));
  Recorder& opaque = call("10.0.0.3:8080", 15001);
  opaque.send(std::string("\x00\x01\x02 binary", 10));
  ASSERT_TRUE(until([&] { return opaque.ended; }));
  EXPECT_FALSE(opaque.ended_orderly());
  EXPECT_TRUE(there.taken.empty());
}

// ---- what comes to the application ------------------------------------------------------------

TEST_F(CapturedTest, RequestsAreDeliveredFromAnAddressThatIsNotCapturedAgain) {
  Application application(loop_, *sidecar_network_, "10.0.0.2:8080");
  start({inbound(), deliver()});
  Recorder& client = call("10.0.0.2:8080", 15006);
  client.send(kRequest);
  ASSERT_TRUE(until([&] { return !application.taken.empty() && !application.last().text.empty(); }));
  EXPECT_EQ(application.peer(), "127.0.0.6");
  application.last().send(kAnswer);
  ASSERT_TRUE(until([&] { return client.text.ends_with("ok"); }));
}

TEST_F(CapturedTest, BytesAreDeliveredWhereTheyWereGoing) {
  Application application(loop_, *sidecar_network_, "10.0.0.2:6379");
  start({inbound(), deliver()});
  Recorder& client = call("10.0.0.2:6379", 15006);
  client.send("PING\r\n");
  ASSERT_TRUE(until([&] { return !application.taken.empty() &&
                                 application.last().text == "PING\r\n"; }));
  EXPECT_EQ(application.peer(), "127.0.0.6");
}

// With TPROXY, too, what an instance sends to itself is redirected.
TEST_F(CapturedTest, ATransparentListenerTakesWhatIsRedirected) {
  Application application(loop_, *sidecar_network_, "10.0.0.2:6379");
  json transparent = inbound();
  transparent["transparent"] = true;
  start({transparent, deliver()});
  call("10.0.0.2:6379", 15006).send("PING\r\n");
  ASSERT_TRUE(until([&] { return !application.taken.empty() &&
                                 application.last().text == "PING\r\n"; }));
}

TEST_F(CapturedTest, OverIPv6TheSourceIsOfThatFamily) {
  Application application(loop_, *sidecar_network_, "[fd00::2]:6379");
  start({inbound(), deliver()});
  call("[fd00::2]:6379", 15006).send("PING\r\n");
  ASSERT_TRUE(until([&] { return !application.taken.empty(); }));
  EXPECT_EQ(application.peer(), "::6");
}

TEST_F(CapturedTest, APortThatIsNotDeclaredIsReachedByNobody) {
  Application application(loop_, *sidecar_network_, "10.0.0.2:9999");
  start({inbound(), deliver()});
  Recorder& client = call("10.0.0.2:9999", 15006);
  client.send(kRequest);
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_FALSE(client.ended_orderly());
  EXPECT_TRUE(application.taken.empty());
}

// ---- loops ------------------------------------------------------------------------------------

TEST_F(CapturedTest, AConnectionToTheSidecarsOwnPortsIsRefused) {
  start({outbound(), inbound(), deliver()});
  for (const uint16_t port : {uint16_t{15001}, uint16_t{15006}}) {
    Recorder direct(there_->connect(*Address::parse("10.0.0.2", port)));
    direct.send(kRequest);
    ASSERT_TRUE(until([&] { return direct.ended; })) << port;
    EXPECT_FALSE(direct.ended_orderly()) << port;
    // The same when it was captured on the way to them.
    Recorder& captured = call("10.0.0.2:" + std::to_string(port), port);
    captured.send(kRequest);
    ASSERT_TRUE(until([&] { return captured.ended; })) << port;
    EXPECT_FALSE(captured.ended_orderly()) << port;
  }
}

}  // namespace
}  // namespace tulle::accept
