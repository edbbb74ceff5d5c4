// StoreView: every document at one revision. Immutable, cheap to copy, safe to read from any thread.
//
// Views share what has not changed: per kind one sorted array of pointers, so two views are
// compared by pointers, and a write copies the array of its kind. Invariant: arrays are sorted by
// (namespace, name), without doubles.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "control-plane/model/document.hpp"

namespace tulle::model {

class StoreView {
 public:
  StoreView();

  uint64_t revision() const { return revision_; }  // grows with every write; 0: nothing was written
  DocumentPtr find(Kind kind, std::string_view namespace_name, std::string_view name) const;
  DocumentPtr find(const Key& key) const { return find(key.kind, key.namespace_name, key.name); }
  std::span<const DocumentPtr> all(Kind kind) const { return *arrays_[static_cast<size_t>(kind)]; }
  std::span<const DocumentPtr> all(Kind kind, std::string_view namespace_name) const;

  // Another view with one difference. For the store, validation and tests.
  StoreView with(DocumentPtr document, uint64_t revision) const;
  StoreView without(const Key& key, uint64_t revision) const;

 private:
  using Array = std::vector<DocumentPtr>;
  std::array<std::shared_ptr<const Array>, kKinds.size()> arrays_;
  uint64_t revision_ = 0;
  friend class StoreViewBuilder;
};

// Many differences at once: one copy of each array that is touched.
class StoreViewBuilder {
 public:
  explicit StoreViewBuilder(const StoreView& from) : view_(from) {}
  void put(DocumentPtr document);
  void remove(const Key& key);
  StoreView finish(uint64_t revision);

 private:
  StoreView::Array& writable(Kind kind);
  StoreView view_;
  std::array<std::shared_ptr<StoreView::Array>, kKinds.size()> copies_;
};

struct Difference {
  DocumentPtr before;  // null: added
  DocumentPtr after;   // null: removed
};
// In order of (namespace, name). Pointers decide: what was written again with the same content
// counts as changed.
std::vector<Difference> differences(const StoreView& from, const StoreView& to, Kind kind);

}  // namespace tulle::model
