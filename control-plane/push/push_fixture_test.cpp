#include "control-plane/push/push_fixture_test.hpp"

#include <algorithm>
#include <utility>

#include "control-plane/build/build_fixture_test.hpp"
#include "control-plane/model/read.hpp"
#include "core/net/tls.hpp"
#include "tests/support/certificates.hpp"
#include "xds/references.hpp"

namespace tulle::push::testing {

using tulle::testing::IssuedCertificate;
using tulle::testing::TestCa;
using xds::ResourceType;

namespace {

const TestCa& mesh_ca() {
  static const TestCa ca;
  return ca;
}

TlsOptions tls_options(const std::string& identity) {
  const IssuedCertificate own = mesh_ca().issue_spiffe(identity);
  TlsOptions options;
  options.certificate_pem = own.certificate_pem;
  options.key_pem = own.key_pem;
  options.trust_pem = mesh_ca().pem();
  options.origin = "test";
  options.alpn = {"h2"};
  return options;
}

constexpr const char* kControlPlane = "spiffe://mesh.local/ns/tulle-system/sa/control-plane";

}  // namespace

std::string metadata_of(const std::string& namespace_name, const std::string& service,
                        uint16_t inbound, const std::string& labels) {
  return R"({"tulle": {"namespace": ")" + namespace_name + R"(", "service": ")" + service +
         R"(", "labels": )" + labels + R"(, "address": "127.0.0.1", "outbound": "127.0.0.1:15001",)" +
         R"("ports": [{"name": "http", "port": 8080, "app_protocol": "http", "inbound": "127.0.0.1:)" +
         std::to_string(inbound) + R"("}]}})";
}

TestSidecar::TestSidecar(PushBench& bench, Options options)
    : Task(bench.loop),
      session({.id = options.id,
               .metadata_json = options.metadata.empty() ? metadata_of("default", "orders", 9001)
                                                         : options.metadata}),
      bench_(bench),
      options_(std::move(options)),
      destinations_(options_.destinations) {}

TestSidecar::~TestSidecar() = default;

void TestSidecar::connect() {
  break_off();
  end.reset();
  Pool::Options pool;
  pool.address = *Address::parse("127.0.0.1:15012");
  pool.protocol = Protocol::http2;
  if (!options_.identity.empty()) pool.tls = bench_.tls_of(options_.identity);
  pool_ = std::make_unique<Pool>(loop_, bench_.network, std::move(pool), nullptr);
  Task& self = *this;
  ticket_.emplace(self);
  pool_->request(*ticket_);
  wake();
}

void TestSidecar::want(std::set<std::string> destinations) {
  destinations_ = std::move(destinations);
  subscribe();
  wake();
}

void TestSidecar::leave() {
  call_->finish();
  wake();
}

void TestSidecar::break_off() {
  session.end_stream();
  call_.reset();
  ticket_.reset();
  pool_.reset();
}

void TestSidecar::pause(bool paused) {
  paused_ = paused;
  wake();
}

std::string TestSidecar::endpoints(const std::string& cluster) const {
  const auto& all = resources().all(ResourceType::endpoints);
  const auto found = all.find(cluster);
  return found == all.end() ? "nothing" : build::testing::endpoints_text({found->second, {}});
}

void TestSidecar::run() {
  if (ticket_ && ticket_->outcome.index() == 1) {
    Task& self = *this;
    call_.emplace(std::move(std::get<StreamRef>(ticket_->outcome)), self, size_t{64} << 20,
                  grpc_request_head("https", "control-plane", xds::kAdsPath));
    ticket_.reset();
    session.begin_stream();
    subscribe();
  } else if (ticket_ && ticket_->outcome.index() == 2) {
    end = GrpcStatus{GrpcCode::unavailable, std::get<Error>(ticket_->outcome).detail};
    ticket_.reset();
  }
  if (!call_ || paused_) return;
  call_->advance();
  take_responses();
  while (call_->can_send()) {
    std::optional<std::string> request = session.next_request(loop_.now());
    if (!request) break;
    call_->send(std::move(*request));
  }
  if (call_->ended() && !end) end = call_->status();
}

void TestSidecar::take_responses() {
  while (std::optional<std::string> message = call_->receive()) {
    ++responses;
    bytes += message->size();
    EXPECT_TRUE(session.receive(*message, loop_.now()));
    decide();
  }
}

void TestSidecar::decide() {
  std::vector<xds::Refusal> refusals;
  for (const xds::ResourceKey& key : refuses) refusals.push_back({key, "not to my taste"});
  if (session.undecided()) session.decide(refusals, loop_.now());
  subscribe();
}

void TestSidecar::subscribe() {
  std::map<ResourceType, xds::ClientSession::Names> wanted;
  wanted[ResourceType::listener] = {destinations_.begin(), destinations_.end()};
  wanted[ResourceType::listener].insert("*");
  wanted[ResourceType::secret] = {"ROOTCA"};
  session.want(ResourceType::listener, wanted[ResourceType::listener]);
  for (const ResourceType type : {ResourceType::listener, ResourceType::route,
                                  ResourceType::cluster}) {
    for (const auto& [name, resource] : session.resources().all(type)) {
      if (!follows || (type != ResourceType::listener && !wanted[type].contains(name))) continue;
      for (const auto& [kind, reference] : xds::references_of(*resource)) {
        if (kind != ResourceType::secret) wanted[kind].insert(reference);
      }
    }
  }
  for (const ResourceType type : xds::kResourceTypes) session.want(type, wanted[type]);
}

PushBench::PushBench(Hub::Options hub_options, bool tls)
    : store(store::make_memory_store(loop)), options(std::move(hub_options)), tls_(tls) {
  start();
}

PushBench::~PushBench() {
  sidecars.clear();
  stop();
  store.reset();
  clock.run_until_quiet();
  EXPECT_TRUE(clock.lost_wakes().empty());
}

void PushBench::start() {
  build::Mesh mesh;
  mesh.trust_bundle_pem = mesh_ca().pem();
  hub = std::make_unique<Hub>(loop, *store, std::move(mesh), stats, options);
  methods = std::make_unique<GrpcMethods>(loop);
  methods->add(xds::kAdsPath, *hub);
  Server::Options server_options;
  server_options.protocol = Protocol::http2;
  if (tls_) server_options.tls = *TlsContext::server(tls_options(kControlPlane), true);
  server = std::make_unique<Server>(loop, *methods, std::move(server_options));
  network.server = server.get();
}

void PushBench::stop() {
  network.server = nullptr;
  server.reset();
  methods.reset();
  hub.reset();
}

void PushBench::restart() {
  hub->shut_down();
  stop();
  start();
}

std::shared_ptr<const TlsContext> PushBench::tls_of(const std::string& identity) {
  auto& context = contexts_[identity];
  if (context == nullptr) {
    TlsOptions client = tls_options(identity);
    client.peer_sans = {{SanMatcher::Type::uri, SanMatcher::Kind::exact, kControlPlane}};
    context = *TlsContext::client(client, "");
  }
  return context;
}

void PushBench::apply(const std::string& yaml) {
  model::DocumentsRead read = model::read_documents(yaml, "test");
  EXPECT_EQ(config::to_text(read.problems), "");
  std::vector<store::WriteRef> writes;
  for (model::Document& document : read.documents) {
    writes.push_back(store->put(std::move(document), {}, nullptr));
  }
  EXPECT_TRUE(until([&] {
    return std::ranges::all_of(writes, [](const auto& write) { return write->done(); });
  }));
}

void PushBench::remove(model::Kind kind, const std::string& name,
                       const std::string& namespace_name) {
  const store::WriteRef write = store->remove({kind, namespace_name, name}, {}, nullptr);
  EXPECT_TRUE(until([&] { return write->done(); }));
}

TestSidecar& PushBench::sidecar(TestSidecar::Options sidecar_options) {
  sidecars.push_back(std::make_unique<TestSidecar>(*this, std::move(sidecar_options)));
  sidecars.back()->connect();
  return *sidecars.back();
}

}  // namespace tulle::push::testing
