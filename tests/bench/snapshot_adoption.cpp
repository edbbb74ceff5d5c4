// What a worker pays to adopt a snapshot of 1,000 clusters x 20 endpoints: all new, unchanged, and
// with one endpoint changed. It must fit in a turn, because traffic waits meanwhile.
#include <chrono>
#include <cstdio>

#include "core/base/rng.hpp"
#include "core/net/loop.hpp"
#include "core/net/network.hpp"
#include "sidecar/routing/cluster.hpp"

namespace {

using namespace tulle;

constexpr size_t kClusters = 1000;
constexpr size_t kEndpoints = 20;

std::shared_ptr<const config::ClusterConfig> make_cluster(size_t index, uint16_t first_port) {
  auto cluster = std::make_shared<config::ClusterConfig>();
  cluster->name = "cluster-" + std::to_string(index);
  cluster->index = static_cast<config::ClusterIndex>(index);
  for (size_t i = 0; i < kEndpoints; ++i) {
    const std::string ip = "10." + std::to_string(index / 250) + "." +
                           std::to_string(index % 250) + "." + std::to_string(i + 1);
    cluster->endpoints.push_back({.address = *Address::parse(ip, first_port), .hostname = "", .locality = nullptr, .metadata_json = ""});
  }
  return cluster;
}

// Clusters register what they count; nobody looks at it here.
class Uncounted final : public policies::PolicyHost {
 public:
  explicit Uncounted(Loop& loop) : loop_(loop) {}
  Loop& loop() override { return loop_; }
  Rng& rng() override { return rng_; }
  StatId counter(std::string_view, std::string_view, Labels) override { return 0; }
  StatId gauge(std::string_view, std::string_view, Labels) override { return 0; }
  void count(StatId, int64_t) override {}
  void tell_siblings(const policies::Site&, std::shared_ptr<const policies::Note>) override {}

 private:
  Loop& loop_;
  Rng rng_{1};
};

double adopt_us(routing::ClusterTable& table, const config::Snapshot& snapshot) {
  const auto begin = std::chrono::steady_clock::now();
  table.adopt(snapshot);
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main() {
  Loop loop(make_uv_engine());
  std::unique_ptr<Network> network = make_uv_network(loop);
  routing::Admissions admissions;
  Uncounted host(loop);
  routing::ClusterTable table(loop, *network, host, admissions);
  config::Snapshot snapshot;
  for (size_t i = 0; i < kClusters; ++i) snapshot.clusters.push_back(make_cluster(i, 80));

  std::printf("| adoption of %zu clusters x %zu endpoints | us |\n|---|---|\n", kClusters, kEndpoints);
  std::printf("| all new | %.0f |\n", adopt_us(table, snapshot));
  std::printf("| nothing changed | %.1f |\n", adopt_us(table, snapshot));
  snapshot.clusters[500] = make_cluster(500, 81);
  std::printf("| one cluster's endpoints changed | %.1f |\n", adopt_us(table, snapshot));
  for (size_t i = 0; i < kClusters; ++i) snapshot.clusters[i] = make_cluster(i, 80);
  std::printf("| every node rebuilt, same endpoints | %.0f |\n", adopt_us(table, snapshot));
  return 0;
}
