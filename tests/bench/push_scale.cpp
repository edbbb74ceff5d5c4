// What a change costs the control plane when many sidecars are connected: time, builds and bytes
// for one endpoint that goes, one that comes, and one route, over real HTTP/2 and mutual TLS in one
// loop. The clients are bare: they read and acknowledge, and their share of the time is included.
//
//   cmake --build build/release --target bench_push_scale
//   build/release/bin/bench_push_scale [sidecars [services [destinations of each]]]
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control-plane/build/names.hpp"
#include "control-plane/push/grpc_methods.hpp"
#include "control-plane/push/hub.hpp"
#include "core/base/clock.hpp"
#include "core/base/log.hpp"
#include "core/http/grpc_stream.hpp"
#include "core/http/pool.hpp"
#include "core/http/server.hpp"
#include "core/net/memory_stream.hpp"
#include "core/net/test_loop.hpp"
#include "core/net/x509_issue.hpp"
#include "core/net/x509_key.hpp"

namespace tulle {
namespace {

using model::Document;
using model::Kind;
using xds::ResourceType;

constexpr const char* kServer = "spiffe://mesh.local/ns/tulle-system/sa/control-plane";
constexpr const char* kClient = "spiffe://mesh.local/ns/default/sa/caller";

class Certificates {
 public:
  Certificates() : key_(generate_key()) {
    root_ = *issue_root(key_, "bench", "spiffe://mesh.local", span_);
  }
  TlsOptions options(const std::string& identity) const {
    TlsOptions options;
    options.key_pem = generate_key();
    options.certificate_pem = *issue_leaf(
        {root_, key_, "bench"},
        {.public_key_der = *public_key_of(options.key_pem, "bench"), .uri = identity,
         .validity = span_});
    options.trust_pem = root_;
    options.origin = "bench";
    options.alpn = {"h2"};
    return options;
  }

 private:
  const Validity span_{wall_now().us / 1'000'000 - 60, wall_now().us / 1'000'000 + 86'400};
  const std::string key_;
  std::string root_;
};

// Connects to the server in memory.
class Wire final : public Network {
 public:
  Wire(Loop& loop, Server& server) : loop_(loop), server_(server) {}
  Result<std::unique_ptr<Acceptor>> listen(const Address&, const ListenOptions&, Task&) override {
    return Error{Code::not_implemented, Origin::local, "not here"};
  }
  using Network::connect;
  std::unique_ptr<ByteStream> connect(const Address&, const ConnectOptions&) override {
    auto [near, far] = MemoryStream::pair(loop_);
    server_.adopt(std::move(far));
    return std::move(near);
  }

 private:
  Loop& loop_;
  Server& server_;
};

struct Totals {
  size_t responses = 0;
  size_t bytes = 0;
};

class Client final : public Task {
 public:
  Client(Loop& loop, Network& network, const Pool::Options& options, int number,
         std::vector<std::vector<std::string>> wanted, Totals& totals)
      : Task(loop), number_(number), wanted_(std::move(wanted)), totals_(totals),
        pool_(loop, network, options, nullptr) {
    Task& self = *this;
    ticket_.emplace(self);
    pool_.request(*ticket_);
    wake();
  }
  size_t responses = 0;

 private:
  void run() override {
    if (ticket_ && ticket_->outcome.index() == 1) {
      Task& self = *this;
      call_.emplace(std::move(std::get<StreamRef>(ticket_->outcome)), self, size_t{64} << 20,
                    grpc_request_head("https", "bench", xds::kAdsPath));
      ticket_.reset();
      for (size_t i = 0; i < wanted_.size(); ++i) ask(static_cast<ResourceType>(i), "", "");
    }
    if (!call_) return;
    call_->advance();
    while (std::optional<std::string> message = call_->receive()) {
      ++responses;
      ++totals_.responses;
      totals_.bytes += message->size();
      const auto response = xds::decode_response(*message);
      ask(*xds::type_of_url(response->type_url), response->version_info, response->nonce);
    }
    while (call_->can_send() && !requests_.empty()) {
      call_->send(std::move(requests_.front()));
      requests_.erase(requests_.begin());
    }
    if (call_->ended()) {
      std::fprintf(stderr, "stream: %s\n", call_->status().to_string().c_str());
      std::exit(1);
    }
  }

  void ask(ResourceType type, const std::string& version, const std::string& nonce) {
    xds::DiscoveryRequest request;
    request.type_url = xds::type_url(type);
    request.version_info = version;
    request.response_nonce = nonce;
    request.resource_names = wanted_[static_cast<size_t>(type)];
    if (request.resource_names.empty()) return;
    if (!introduced_) {
      introduced_ = true;
      request.node = xds::Node{
          .id = "caller-" + std::to_string(number_),
          .metadata_json =
              R"({"tulle":{"namespace":"default","service":"caller","outbound":"127.0.0.1:15001"}})"};
    }
    requests_.push_back(encode(request));
  }

  const int number_;
  const std::vector<std::vector<std::string>> wanted_;
  Totals& totals_;
  Pool pool_;
  std::optional<Ticket> ticket_;
  std::optional<GrpcStream> call_;
  std::vector<std::string> requests_;
  bool introduced_ = false;
};

Document service(int i) {
  Document document;
  document.metadata.name = "s" + std::to_string(i);
  document.spec = model::ServiceSpec{{{"http", 80, model::AppProtocol::http}}, std::nullopt};
  return document;
}

Document workload(int service, int i) {
  Document document;
  document.metadata.name = "s" + std::to_string(service) + "-" + std::to_string(i);
  model::WorkloadSpec spec;
  spec.service = "s" + std::to_string(service);
  spec.address = "10.0.0.1";
  spec.ports = {{"http", 8080, "10." + std::to_string(i) + "." + std::to_string(service / 250) +
                                   "." + std::to_string(service % 250 + 1) + ":15006"}};
  document.spec = std::move(spec);
  return document;
}

Document split(int service) {
  Document document;
  document.metadata.name = "split";
  model::HttpRouteSpec spec;
  spec.parent_refs = {{"s" + std::to_string(service), "default", std::nullopt, ""}};
  model::HttpRule rule;
  rule.matches.emplace_back();
  rule.backend_refs = {{"s0", "default", 80, 1}, {"s1", "default", 80, 1}};
  spec.rules = {rule};
  document.spec = std::move(spec);
  return document;
}

int run(int sidecars, int services, int destinations) {
  log::set_level(log::Level::error);
  TestLoop test;
  Loop& loop = test.loop;
  StatRegistry stats;
  auto store = store::make_memory_store(loop);
  for (int i = 0; i < services; ++i) {
    (void)store->put(service(i), {}, nullptr);
    for (int k = 0; k < 3; ++k) (void)store->put(workload(i, k), {}, nullptr);
  }
  test.run_until([&] { return store->view().all(Kind::workload).size() == size_t(services) * 3; });
  const Certificates certificates;
  push::Hub hub(loop, *store, {}, stats, {});
  push::GrpcMethods methods(loop);
  methods.add(xds::kAdsPath, hub);
  Server::Options server_options;
  server_options.protocol = Protocol::http2;
  server_options.tls = *TlsContext::server(certificates.options(kServer), true);
  server_options.tls_handshake_timeout = 120s;
  Server server(loop, methods, std::move(server_options));
  Wire wire(loop, server);

  Totals totals;
  Pool::Options pool;
  pool.address = *Address::parse("127.0.0.1:15012");
  pool.protocol = Protocol::http2;
  pool.tls_handshake_timeout = 120s;
  TlsOptions client = certificates.options(kClient);
  client.peer_sans = {{SanMatcher::Type::uri, SanMatcher::Kind::exact, kServer}};
  pool.tls = *TlsContext::client(client, "");
  std::vector<std::unique_ptr<Client>> clients;
  const build::Mesh mesh;
  for (int i = 0; i < sidecars; ++i) {
    std::vector<std::vector<std::string>> wanted(xds::kResourceTypes.size());
    wanted[0].push_back("*");
    for (int k = 0; k < destinations; ++k) {
      // Everybody calls s0; the rest is spread.
      const int number = k == 0 ? 0 : (i * destinations + k) % services;
      const build::ServicePortName name{"default", "s" + std::to_string(number), 80};
      wanted[0].push_back(name.service + ":80");
      wanted[1].push_back(build::route_name(name));
      wanted[2].push_back(build::cluster_name(name, mesh));
      wanted[3].push_back(build::cluster_name(name, mesh));
    }
    clients.push_back(
        std::make_unique<Client>(loop, wire, pool, i, std::move(wanted), totals));
  }
  const auto measure = [&](const char* what, size_t responses, auto change) {
    const Totals before = totals;
    const uint64_t builds = hub.cache().builds();
    const Instant begin = monotonic_now();
    change();
    const bool done = test.run_until(
        [&] { return totals.responses >= before.responses + responses; }, 300s);
    const Duration took = monotonic_now() - begin;
    test.settle();
    std::printf("%-34s %9.1f ms %8zu responses %12zu bytes %8llu builds%s\n", what,
                static_cast<double>(took.count()) / 1e6, totals.responses - before.responses,
                totals.bytes - before.bytes,
                static_cast<unsigned long long>(hub.cache().builds() - builds),
                done ? "" : "  NOT DONE");
  };
  const size_t all = static_cast<size_t>(sidecars);
  std::printf("%d sidecars, %d services, %d destinations each\n", sidecars, services,
              destinations);
  measure("connect, TLS and first resources", all * 4, [] {});
  measure("an endpoint of s0 goes", all, [&] {
    (void)store->remove({Kind::workload, "default", "s0-2"}, {}, nullptr);
  });
  measure("an endpoint of s0 comes", all,
          [&] { (void)store->put(workload(0, 2), {}, nullptr); });
  measure("a route of s0", all, [&] { (void)store->put(split(0), {}, nullptr); });
  measure("an endpoint that few ask for goes", 0, [&] {
    (void)store->remove({Kind::workload, "default",
                         "s" + std::to_string(services - 1) + "-0"}, {}, nullptr);
  });
  clients.clear();
  return 0;
}

}  // namespace
}  // namespace tulle

int main(int argc, char** argv) {
  const auto number = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  return tulle::run(number(1, 1000), number(2, 1000), number(3, 20));
}
