// validate: may this write happen? References of the document and of those that refer to it. Pure.
//
// A write is judged by what the store would hold after it. Everything is reported: first what the
// document's references lack, then whom the write would leave dangling, and when there is nothing
// of that, what the sidecars' own compile step says about the result (ResultCheck).
#pragma once

#include "control-plane/model/read.hpp"
#include "control-plane/model/store_view.hpp"

namespace tulle::validate {

using model::Document;
using model::Key;
using model::Place;
using model::Problems;
using model::StoreView;

// Builds what the sidecars would get and runs their compile step on it. control-plane/build
// provides it; problems are reported at paths of the document.
class ResultCheck {
 public:
  virtual ~ResultCheck() = default;
  virtual void check(const StoreView& result, const Document& changed, const Place& place) const = 0;
};

// `result_check` may be null.
Problems check_put(const StoreView& before, const Document& document,
                   const ResultCheck* result_check);
// What a stored document refers to and is not there (any more). Cheap: for status.
Problems unresolved(const StoreView& view, const Document& document);
// Problems say who still refers to it.
Problems check_remove(const StoreView& before, const Key& key);

}  // namespace tulle::validate
