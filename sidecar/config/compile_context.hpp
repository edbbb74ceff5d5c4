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
  Records<Destination> destinations;    // of Listener resources with an api_listener
  Records<routing::RouteTable> tables;  // of RouteConfiguration resources
  Records<ClusterConfig> clusters;
  std::map<xds::ContentHash, std::shared_ptr<const TlsContext>> tls;
  std::map<xds::ContentHash, std::shared_ptr<const TlsContext>> shared_tls;  // any one of those
};

// What to do about a resource that does not compile, or not yet.
enum class OnFault : uint8_t {
  fail,       // the whole run is worth nothing; go on only to find more problems
  hold_back,  // its former form stays, everything else goes on
};

// A resource of which the former form, if there is one, is in force instead.
struct Held {
  xds::ResourceType type;
  std::string name;
  bool has_former = false;
  std::vector<std::shared_ptr<const routing::RouteTable>> tables;  // of the former form
};

class CompileContext {
 public:
  CompileContext(const xds::ResourceSet& all, const Materials& files, const Snapshot* previous,
                 OnFault on_fault, Problems& list);

  // Look-ups. Null or empty: not there; the caller reports it, with the right path. Where faults are
  // held back, only what can be used is there.
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
  // Nothing was reported, and nothing it needs is missing. What is not whole must not be used.
  bool node_is_whole() const { return !incomplete_ && problems_.size() == problems_before_; }
  template <class Node>
  std::shared_ptr<Record<Node>> end_node(const xds::Resource& resource);

  // The record of the previous run when nothing it was made of has changed.
  template <class Node>
  std::shared_ptr<const Record<Node>> reusable(const Records<Node> CompileCache::* kind,
                                               const xds::Resource& resource);

  // Listeners whose address cannot be had, and why. Not for listeners that are in force already.
  void set_unusable(const std::map<std::string, std::string, std::less<>>& names) {
    unusable_ = &names;
  }
  const std::string* unusable(std::string_view listener) const {
    if (unusable_ == nullptr) return nullptr;
    const auto found = unusable_->find(listener);
    return found == unusable_->end() ? nullptr : &found->second;
  }

  // The resource was a destination in the former run, and is the same.
  bool was_destination(const xds::Resource& listener) const;

  // The former form of what has not become whole: its record, or null. Noted in held().
  template <class Node>
  std::shared_ptr<const Record<Node>> hold(const Records<Node> CompileCache::* kind,
                                           const xds::Resource& resource);
  std::vector<Held>& held() { return held_; }
  // Takes over clusters of the former run that `table` refers to and that are gone by now.
  void keep_clusters_of(const routing::RouteTable& table);
  // A cluster is complete: where its former self had an index, that one.
  ClusterIndex index_of(const std::string& name);

  Place place_of(const xds::Resource& resource) const;
  OnFault on_fault() const { return on_fault_; }
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
  const Snapshot* former_;        // null: none
  const CompileCache* previous_;  // of the former run; null: none
  const OnFault on_fault_;
  Problems& problems_;
  CompileCache cache_;
  std::map<std::string, ClusterIndex, std::less<>> cluster_names_;
  size_t cluster_slots_ = 0;
  std::map<std::string, xds::ContentHash, std::less<>> file_hashes_;
  std::optional<xds::ContentHash> identity_hash_;
  std::map<std::pair<Dependency::Kind, std::string>, xds::ContentHash> uses_;
  std::optional<TlsKeys> tls_used_;
  size_t problems_before_ = 0;
  bool incomplete_ = false;
  std::vector<Held> held_;
  const std::map<std::string, std::string, std::less<>>* unusable_ = nullptr;
};

// A node that is taken over brings its TLS context along.
void keep_tls(CompileCache& cache, const Record<ListenerConfig>& record);
void keep_tls(CompileCache& cache, const Record<ClusterConfig>& record);
inline void keep_tls(CompileCache&, const Record<Destination>&) {}
inline void keep_tls(CompileCache&, const Record<routing::RouteTable>&) {}

}  // namespace tulle::config
