#include "tests/conformance/pairing.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "core/base/bytes.hpp"
#include "core/net/simulated_engine.hpp"
#include "core/net/simulated_network.hpp"
#include "core/net/test_loop.hpp"
#include "core/net/tls.hpp"
#include "tests/support/certificates.hpp"

namespace tulle::conformance {
namespace {

constexpr const char* kClientId = "spiffe://mesh.test/ns/default/sa/client";
constexpr const char* kSidecarId = "spiffe://mesh.test/ns/default/sa/sidecar";
constexpr const char* kOriginId = "spiffe://mesh.test/ns/default/sa/origin";

class SocketWorld final : public World {
 public:
  Loop& loop() override { return test_.loop; }
  Network& client() override { return *test_.network; }
  Network& sidecar() override { return *test_.network; }
  Network& origin() override { return *test_.network; }
  Address sidecar_address() const override { return *Address::parse("127.0.0.1", 0); }
  Address origin_address() const override { return *Address::parse("127.0.0.1", 0); }
  bool run_until(const std::function<bool()>& done) override { return test_.run_until(done, 30s); }

 private:
  TestLoop test_;
};

class SimulatedWorld final : public World {
 public:
  explicit SimulatedWorld(uint64_t seed)
      : clock_(seed),
        network_(clock_),
        loop_(clock_),
        client_(network_.host(loop_, "10.0.0.1")),
        sidecar_(network_.host(loop_, "10.0.0.2")),
        origin_(network_.host(loop_, "10.0.0.3")) {}
  ~SimulatedWorld() override { EXPECT_THAT(clock_.lost_wakes(), ::testing::IsEmpty()); }
  Loop& loop() override { return loop_; }
  Network& client() override { return *client_; }
  Network& sidecar() override { return *sidecar_; }
  Network& origin() override { return *origin_; }
  Address sidecar_address() const override { return *Address::parse("10.0.0.2", 15006); }
  Address origin_address() const override { return *Address::parse("10.0.0.3", 8080); }
  bool run_until(const std::function<bool()>& done) override {
    return clock_.run_while_not(done, 30s);
  }

 private:
  SimulatedClock clock_;
  SimulatedNetwork network_;
  SimulatedLoop loop_;
  std::unique_ptr<Network> client_;
  std::unique_ptr<Network> sidecar_;
  std::unique_ptr<Network> origin_;
};

const testing::TestCa& authority() {
  static const testing::TestCa ca;
  return ca;
}

TlsOptions tls_options(const char* own, const char* peer, Protocol protocol) {
  const testing::IssuedCertificate issued = authority().issue_spiffe(own);
  TlsOptions options;
  options.certificate_pem = issued.certificate_pem;
  options.key_pem = issued.key_pem;
  options.trust_pem = authority().pem();
  options.origin = "pairing";
  options.peer_sans = {{SanMatcher::Type::uri, SanMatcher::Kind::exact, peer}};
  options.alpn = {protocol == Protocol::http2 ? "tulle-h2" : "tulle-http/1.1"};
  return options;
}

std::shared_ptr<const TlsContext> client_tls(const char* own, const char* peer, Protocol protocol) {
  return *TlsContext::client(tls_options(own, peer, protocol), "");
}

std::shared_ptr<const TlsContext> server_tls(const char* own, const char* peer, Protocol protocol) {
  return *TlsContext::server(tls_options(own, peer, protocol), true);
}

routing::Route everything_to(routing::ClusterIndex cluster) {
  routing::Route route;
  route.name = "everything";
  route.match.path.text.kind = routing::StringMatch::Kind::prefix;
  route.match.path.text.text = "/";
  routing::Forward forward;
  forward.targets.emplace_back().cluster = cluster;
  route.action = std::move(forward);
  return route;
}

std::shared_ptr<const routing::RouteTable> one_route() {
  std::vector<routing::VirtualHost> hosts(1);
  hosts[0].name = "all";
  hosts[0].domains = {"*"};
  hosts[0].routes.push_back(everything_to(0));
  return std::make_shared<routing::RouteTable>("routes", std::move(hosts), false);
}

}  // namespace

std::unique_ptr<World> make_socket_world() { return std::make_unique<SocketWorld>(); }
std::unique_ptr<World> make_simulated_world(uint64_t seed) {
  return std::make_unique<SimulatedWorld>(seed);
}

Pairing::Pairing(const Pair& pair)
    : pair_(pair),
      chunks_before_(chunk_pool_stats().chunks_in_use),
      world_(pair.simulated ? make_simulated_world(7) : make_socket_world()) {
  start_origin();
  start_sidecar();
  start_client();
}

Pairing::~Pairing() { close(); }

void Pairing::start_origin() {
  service_ = std::make_unique<testing::ScriptedService>(world_->loop());
  Server::Options options;
  options.protocol = pair_.upstream;
  if (pair_.mtls) options.tls = server_tls(kOriginId, kSidecarId, pair_.upstream);
  origin_ = std::make_unique<Server>(world_->loop(), *service_, options);
  const Result<void> listening = origin_->listen(world_->origin(), world_->origin_address(), {});
  ASSERT(listening.has_value());
}

std::shared_ptr<const config::Snapshot> Pairing::snapshot() const {
  auto listener = std::make_shared<config::ListenerConfig>();
  listener->name = "pairing";
  listener->address = world_->sidecar_address();
  listener->direction = config::Direction::inbound;
  listener->routes = one_route();
  listener->http.upgrades = {"websocket"};
  if (pair_.mtls) listener->tls = server_tls(kSidecarId, kClientId, pair_.downstream);

  auto cluster = std::make_shared<config::ClusterConfig>();
  cluster->name = "origin";
  config::EndpointConfig& endpoint = cluster->endpoints.emplace_back();
  endpoint.address = origin_->local_address();
  endpoint.locality = std::make_shared<config::Locality>();
  cluster->protocol = pair_.upstream == Protocol::http2 ? config::UpstreamProtocol::http2
                                                        : config::UpstreamProtocol::http1;
  if (pair_.mtls) cluster->tls = client_tls(kSidecarId, kOriginId, pair_.upstream);

  auto snapshot = std::make_shared<config::Snapshot>();
  snapshot->generation = 1;
  snapshot->version = "pairing";
  snapshot->listeners.push_back(std::move(listener));
  snapshot->clusters.push_back(std::move(cluster));
  snapshot->cluster_names["origin"] = 0;
  return snapshot;
}

void Pairing::start_sidecar() {
  environment_.reset(new WorkerEnvironment{
      .node_id = "pairing-1", .stats = stats_, .admissions = admissions_, .reuse_port = false});
  worker_ = std::make_unique<Worker>(world_->loop(), world_->sidecar(), *environment_, 1);
  const auto configuration = snapshot();
  admission_ = admissions_.of(*configuration->clusters[0]);
  const Result<void> adopted = worker_->adopt(configuration);
  ASSERT(adopted.has_value());
}

void Pairing::start_client() {
  Pool::Options options;
  options.address = worker_->gateways().at(0)->local_address();
  options.protocol = pair_.downstream;
  if (pair_.mtls) options.tls = client_tls(kClientId, kSidecarId, pair_.downstream);
  pool_ = std::make_unique<Pool>(world_->loop(), world_->client(), std::move(options), nullptr);
}

testing::Heard& Pairing::ask(const testing::Script& script) {
  // Making a long body takes longer than a connection may take, and no turn has seen the clock since.
  world_->loop().refresh_now();
  scripts_.push_back(script);
  heard_.emplace_back();
  talks_.push_back(
      std::make_unique<testing::Talk>(world_->loop(), *pool_, scripts_.back(), heard_.back()));
  return heard_.back();
}

void Pairing::close() {
  if (pool_ == nullptr) return;
  talks_.clear();
  pool_->retire();
  worker_->drain();
  EXPECT_TRUE(run_until([&] { return pool_->idle() && worker_->drained(); }));
  EXPECT_EQ(worker_->exchanges(), 0u);
  worker_->clusters().retire_all();
  EXPECT_TRUE(run_until([&] {
    worker_->clusters().reap();
    return worker_->clusters().idle() && origin_->drained();
  }));
  EXPECT_EQ(admission_->requests() + admission_->pending() + admission_->connections(), 0u);
  pool_.reset();
  worker_.reset();
  origin_.reset();
  // What was said last may still be on the way, to ends that listen no more.
  EXPECT_TRUE(run_until([&] {
    return world_->loop().cells() == 0 && chunk_pool_stats().chunks_in_use == chunks_before_;
  })) << world_->loop().cells() << " cells, " << chunk_pool_stats().chunks_in_use << " chunks";
  for (const testing::Heard& heard : service_->heard) EXPECT_TRUE(heard.over);
}

}  // namespace tulle::conformance
