#include "control-plane/push/resource_cache.hpp"

#include "core/base/assert.hpp"

namespace tulle::push {

struct Interest::Entry {
  std::string key;
  ResourceType type;
  std::string name;
  std::shared_ptr<const xds::Resource> resource;
  std::vector<build::Input> inputs;
  bool fresh = false;
  List<Interest, EntryTag> interests;
};

namespace {

// Scopes and names hold no NUL: names that do are of no resource, but must not be another's key.
std::string key_of(const build::Node& node, ResourceType type, std::string_view name) {
  const std::string scope = build::scope_of(node, type, name);
  std::string key(1, static_cast<char>('0' + static_cast<int>(type)));
  key.append(std::to_string(scope.size())).append(":").append(scope).append(name);
  return key;
}

}  // namespace

Interest::Interest(ResourceCache& cache, Subscriber& subscriber, const build::Node& node,
                   ResourceType type, std::string_view name)
    : cache_(cache),
      subscriber_(subscriber),
      node_(node),
      entry_(&cache.entry_of(node, type, name)) {
  entry_->interests.push_back(*this);
}

Interest::~Interest() {
  ListNode<EntryTag>::unlink();
  if (entry_->interests.empty()) cache_.forget(*entry_);
}

ResourceType Interest::type() const { return entry_->type; }

const std::string& Interest::name() const { return entry_->name; }

bool Interest::fresh() const { return entry_->fresh; }

const std::shared_ptr<const xds::Resource>& Interest::resource() {
  if (!entry_->fresh) cache_.build(*entry_, node_);
  return entry_->resource;
}

ResourceCache::ResourceCache(build::Mesh mesh) : mesh_(std::move(mesh)) {}

ResourceCache::~ResourceCache() { ASSERT(entries_.empty()); }

ResourceCache::Entry& ResourceCache::entry_of(const build::Node& node, ResourceType type,
                                              std::string_view name) {
  std::string key = key_of(node, type, name);
  std::unique_ptr<Entry>& entry = entries_[key];
  if (entry == nullptr) {
    entry = std::make_unique<Entry>();
    entry->key = std::move(key);
    entry->type = type;
    entry->name = name;
  }
  return *entry;
}

void ResourceCache::build(Entry& entry, const build::Node& node) {
  build::Built built = build::build(index_, mesh_, node, entry.type, entry.name);
  ++builds_;
  entry.fresh = true;
  const bool same = built.resource != nullptr && entry.resource != nullptr &&
                    built.resource->hash == entry.resource->hash;
  if (!same) entry.resource = std::move(built.resource);
  set_inputs(entry, std::move(built.inputs));
}

void ResourceCache::set_inputs(Entry& entry, std::vector<build::Input> inputs) {
  if (inputs == entry.inputs) return;
  for (const build::Input& input : entry.inputs) {
    const auto found = made_from_.find(input);
    found->second.erase(&entry);
    if (found->second.empty()) made_from_.erase(found);
  }
  for (const build::Input& input : inputs) made_from_[input].insert(&entry);
  entry.inputs = std::move(inputs);
}

void ResourceCache::forget(Entry& entry) {
  set_inputs(entry, {});
  const auto found = entries_.find(entry.key);
  ASSERT(found != entries_.end());
  entries_.erase(found);
}

void ResourceCache::advance(const model::StoreView& to) {
  for (const build::Touch& each : index_.advance(to)) touch(each);
}

void ResourceCache::set_trust_bundle(std::string pem) {
  if (pem == mesh_.trust_bundle_pem) return;
  mesh_.trust_bundle_pem = std::move(pem);
  touch({build::trust_input(), false});
}

void ResourceCache::touch(const build::Touch& touch) {
  const auto found = made_from_.find(touch.input);
  if (found == made_from_.end()) return;
  for (Entry* entry : found->second) {
    entry->fresh = false;
    for (Interest& interest : entry->interests) {
      interest.subscriber_.resource_changed(interest, touch.removal);
    }
  }
}

std::vector<const Interest*> ResourceCache::interests_in(const build::Input& input) const {
  std::vector<const Interest*> interests;
  const auto found = made_from_.find(input);
  if (found == made_from_.end()) return interests;
  for (Entry* entry : found->second) {
    for (Interest& interest : entry->interests) interests.push_back(&interest);
  }
  return interests;
}

}  // namespace tulle::push
