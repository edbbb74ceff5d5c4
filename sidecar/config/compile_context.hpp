// CompileContext: what one run of compile() knows, and on what each node turned out to depend.
//
// Every look-up of something outside the resource that is being compiled goes through here and is
// recorded, so that the next run can tell whether the node is still the same without compiling it.
// For the compile_*.cpp files.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/net/tls.hpp"
#include "sidecar/config/compile.hpp"

namespace tulle::config {

// Something a node looked up: its content then. Zero: it was not there.
struct Dependency {
  enum class Kind : uint8_t { cluster, routes, endpoints, secret, file, identity };
  Kind kind;
  std::string name;
  xds::ContentHash hash;
};

// Under what a node's TLS context can be found again.
struct TlsKeys {
  xds::ContentHash whole;
  xds::ContentHash shared;  // of all but the expected peer: such contexts share what is expensive
};

// A compiled node and what it was made of. Kept in the snapshot for the next run.
template <class Node>
struct Record {
  xds::ContentHash own;                // of the resource's bytes
  std::vector<Dependency> uses;
  xds::ContentHash hash;               // of both
  std::optional<TlsKeys> tls;
  std::shared_ptr<const Node> node;
};
template <class Node>
using Records = std::map<std::string, std::shared_ptr<const Record<Node>>, std::less<>>;

struct CompileCache {
  Records<ListenerConfig> listeners;
  Records<routing::RouteTable> tables;  // of RouteConfiguration resources
  Records<ClusterConfig> clusters;
  std::map<xds::ContentHash, std::shared_ptr<const TlsContext>> tls;
  std::map<xds::ContentHash, std::shared_ptr<const TlsContext>> shared_tls;  // any one of those
};

class CompileContext {
 public:
  CompileContext(const xds::ResourceSet& all, const Materials& files, const Snapshot* previous,
                 Problems& list);

  // Look-ups. Null or empty: not there; the caller reports it, with the right path.
  std::optional<ClusterIndex> cluster(std::string_view name);
  std::shared_ptr<const routing::RouteTable> routes(std::string_view name);
  bool has_routes(std::string_view name) const;  // it exists, even if it does not compile
  const xds::Resource* endpoints(std::string_view name);
  const xds::Resource* secret(std::string_view name);
  const std::string* file(std::string_view path);
  const Identity* identity();
  bool materials_complete() const { return materials_.complete; }

  // Contexts are expensive and many nodes want the same one.
  Result<std::shared_ptr<const TlsContext>> server_tls(const TlsOptions& options,
                                                       bool require_client);
  Result<std::shared_ptr<const TlsContext>> client_tls(const TlsOptions& options,
                                                       const std::string& server_name);

  // Between these two everything looked up is a dependency of one node.
  void begin_node();
  template <class Node>
  std::shared_ptr<Record<Node>> end_node(const xds::Resource& resource);

  // The record of the previous run when nothing it was made of has changed.
  template <class Node>
  std::shared_ptr<const Record<Node>> reusable(const Records<Node> CompileCache::* kind,
                                               const xds::Resource& resource);

  Place place_of(const xds::Resource& resource) const;
  Problems& problems() { return problems_; }
  const xds::ResourceSet& resources() const { return resources_; }
  // Filled by compile(), read by routes() and by the next run.
  CompileCache& cache() { return cache_; }
  const std::map<std::string, ClusterIndex, std::less<>>& cluster_names() const {
    return cluster_names_;
  }
  size_t cluster_slots() const { return cluster_slots_; }

 private:
  xds::ContentHash current(Dependency::Kind kind, std::string_view name);
  void record(Dependency::Kind kind, std::string_view name);
  Result<std::shared_ptr<const TlsContext>> tls(const TlsOptions& options, bool server,
                                                bool require_client,
                                                const std::string& server_name);
  std::shared_ptr<const TlsContext> known_tls(
      std::map<xds::ContentHash, std::shared_ptr<const TlsContext>> CompileCache::* kind,
      const xds::ContentHash& hash);

  const xds::ResourceSet& resources_;
  const Materials& materials_;
  const CompileCache* previous_;  // null: none
  Problems& problems_;
  CompileCache cache_;
  std::map<std::string, ClusterIndex, std::less<>> cluster_names_;
  size_t cluster_slots_ = 0;
  std::map<std::string, xds::ContentHash, std::less<>> file_hashes_;
  std::optional<xds::ContentHash> identity_hash_;
  std::map<std::pair<Dependency::Kind, std::string>, xds::ContentHash> uses_;
  std::optional<TlsKeys> tls_used_;
};

}  // namespace tulle::config
