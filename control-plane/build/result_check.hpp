// CompileCheck: what a write would make of the sidecars' configuration, asked of the sidecars' own
// compile step. Pure.
//
// A route is built for callers of its parents' namespaces and of its own; a Service with its
// default route. What compile() refuses is reported at the rule or match it came from.
#pragma once

#include "control-plane/build/mesh.hpp"
#include "control-plane/validate/validate.hpp"

namespace tulle::build {

class CompileCheck final : public validate::ResultCheck {
 public:
  explicit CompileCheck(Mesh mesh) : mesh_(std::move(mesh)) {}

  void check(const model::StoreView& result, const model::Document& changed,
             const config::Place& place) const override;

 private:
  const Mesh mesh_;
};

}  // namespace tulle::build
