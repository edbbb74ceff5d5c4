#include "control-plane/model/store_view.hpp"

#include <algorithm>
#include <tuple>

#include "core/base/assert.hpp"

namespace tulle::model {

namespace {

using Place = std::pair<std::string_view, std::string_view>;  // (namespace, name)

Place place_of(const DocumentPtr& document) {
  return {document->metadata.namespace_name, document->metadata.name};
}

}  // namespace

StoreView::StoreView() {
  static const auto& empty = *new std::shared_ptr<const Array>(std::make_shared<const Array>());
  arrays_.fill(empty);
}

DocumentPtr StoreView::find(Kind kind, std::string_view namespace_name,
                            std::string_view name) const {
  const Array& array = *arrays_[static_cast<size_t>(kind)];
  const Place wanted(namespace_name, name);
  const auto found = std::ranges::lower_bound(array, wanted, {}, place_of);
  return found != array.end() && place_of(*found) == wanted ? *found : nullptr;
}

std::span<const DocumentPtr> StoreView::all(Kind kind, std::string_view namespace_name) const {
  const auto space = [](const DocumentPtr& document) -> std::string_view {
    return document->metadata.namespace_name;
  };
  const auto range = std::ranges::equal_range(all(kind), namespace_name, {}, space);
  return {range.begin(), range.end()};
}

StoreView StoreView::with(DocumentPtr document, uint64_t revision) const {
  StoreViewBuilder builder(*this);
  builder.put(std::move(document));
  return builder.finish(revision);
}

StoreView StoreView::without(const Key& key, uint64_t revision) const {
  StoreViewBuilder builder(*this);
  builder.remove(key);
  return builder.finish(revision);
}

StoreView::Array& StoreViewBuilder::writable(Kind kind) {
  auto& copy = copies_[static_cast<size_t>(kind)];
  if (copy == nullptr) {
    copy = std::make_shared<StoreView::Array>(*view_.arrays_[static_cast<size_t>(kind)]);
  }
  return *copy;
}

void StoreViewBuilder::put(DocumentPtr document) {
  ASSERT(document != nullptr);
  StoreView::Array& array = writable(document->kind());
  const auto at = std::ranges::lower_bound(array, place_of(document), {}, place_of);
  if (at != array.end() && place_of(*at) == place_of(document)) {
    *at = std::move(document);
  } else {
    array.insert(at, std::move(document));
  }
}

void StoreViewBuilder::remove(const Key& key) {
  StoreView::Array& array = writable(key.kind);
  const Place wanted(key.namespace_name, key.name);
  const auto at = std::ranges::lower_bound(array, wanted, {}, place_of);
  if (at != array.end() && place_of(*at) == wanted) array.erase(at);
}

StoreView StoreViewBuilder::finish(uint64_t revision) {
  for (size_t i = 0; i < copies_.size(); ++i) {
    if (copies_[i] != nullptr) view_.arrays_[i] = std::move(copies_[i]);
  }
  view_.revision_ = revision;
  return view_;
}

std::vector<Difference> differences(const StoreView& from, const StoreView& to, Kind kind) {
  std::vector<Difference> found;
  const std::span<const DocumentPtr> before = from.all(kind);
  const std::span<const DocumentPtr> after = to.all(kind);
  if (before.data() == after.data()) return found;  // the very same array
  size_t i = 0;
  size_t k = 0;
  while (i < before.size() || k < after.size()) {
    const bool only_before =
        k == after.size() || (i < before.size() && place_of(before[i]) < place_of(after[k]));
    const bool only_after =
        i == before.size() || (k < after.size() && place_of(after[k]) < place_of(before[i]));
    if (only_before) {
      found.push_back({before[i++], nullptr});
    } else if (only_after) {
      found.push_back({nullptr, after[k++]});
    } else {
      if (before[i] != after[k]) found.push_back({before[i], after[k]});
      ++i;
      ++k;
    }
  }
  return found;
}

}  // namespace tulle::model
