// ResourceCache: every resource that a connected sidecar wants, built once and shared.
//
// Owns an entry per (type, scope, name) that somebody is interested in, and the index that entries
// are built from. An entry is built when it is first asked for after its inputs have changed; equal
// content keeps the same pointer. A change costs the entries made from what has changed and those
// who want them, never all sessions or all resources.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control-plane/build/build.hpp"
#include "core/base/list.hpp"

namespace tulle::push {

using xds::ResourceType;

class Interest;
class ResourceCache;

struct EntryTag {};
struct ChangedTag {};

// Who is told that something wanted may have changed.
class Subscriber {
 public:
  // `urgent`: something that callers may still use has gone.
  virtual void resource_changed(Interest& interest, bool urgent) = 0;

 protected:
  ~Subscriber() = default;
};

// One name that one subscriber wants. Destroying it ends the interest. `changed` lists of the
// subscriber hold it by its ChangedTag node.
class Interest : public ListNode<EntryTag>, public ListNode<ChangedTag> {
 public:
  Interest(ResourceCache& cache, Subscriber& subscriber, const build::Node& node,
           ResourceType type, std::string_view name);
  ~Interest();
  Interest(const Interest&) = delete;
  Interest& operator=(const Interest&) = delete;

  ResourceType type() const;
  const std::string& name() const;
  // False: resource() has to build.
  bool fresh() const;
  // Null: there is nothing of this name. Builds at most this one.
  const std::shared_ptr<const xds::Resource>& resource();
  bool changed() const { return ListNode<ChangedTag>::linked(); }
  void unlist() { ListNode<ChangedTag>::unlink(); }

 private:
  friend class ResourceCache;
  struct Entry;
  ResourceCache& cache_;
  Subscriber& subscriber_;
  const build::Node& node_;
  Entry* entry_;
};

class ResourceCache {
 public:
  explicit ResourceCache(build::Mesh mesh);
  ~ResourceCache();  // all interests are gone
  ResourceCache(const ResourceCache&) = delete;
  ResourceCache& operator=(const ResourceCache&) = delete;

  // Subscribers of what may have changed are told, during the call.
  void advance(const model::StoreView& to);
  void set_trust_bundle(std::string pem);

  const build::Index& index() const { return index_; }
  const build::Mesh& mesh() const { return mesh_; }

  // Every interest in a resource that was built from this part of the index, for status.
  std::vector<const Interest*> interests_in(const build::Input& input) const;
  const Subscriber& subscriber_of(const Interest& interest) const { return interest.subscriber_; }

  size_t size() const { return entries_.size(); }
  uint64_t builds() const { return builds_; }

 private:
  friend class Interest;
  using Entry = Interest::Entry;
  Entry& entry_of(const build::Node& node, ResourceType type, std::string_view name);
  void build(Entry& entry, const build::Node& node);
  void set_inputs(Entry& entry, std::vector<build::Input> inputs);
  void forget(Entry& entry);
  void touch(const build::Touch& touch);

  build::Mesh mesh_;
  build::Index index_;
  std::unordered_map<std::string, std::unique_ptr<Entry>> entries_;
  std::unordered_map<build::Input, std::unordered_set<Entry*>> made_from_;
  uint64_t builds_ = 0;
};

}  // namespace tulle::push
