// compile_holding_back(): what a control plane pushes, merged with the file's own resources, as one
// snapshot that is always usable. Pure.
//
// A resource that does not compile, or that refers to something which has not arrived, keeps the
// former form of its own listener, destination, route table or cluster; everything else goes on. So
// a destination enters only when all it refers to is there, and a bad resource takes down nothing
// else. Clusters that a former form still refers to stay, even when they have been removed. In
// whatever order resources arrive, once all are there the result is that of all at once.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sidecar/config/compile.hpp"
#include "xds/client_session.hpp"

namespace tulle::config {

struct Pushed {
  xds::ResourceSet resources;                    // by the control plane
  xds::ResourceSet egress;                       // made by ourselves; origin: kEgressOrigin
  std::set<std::string, std::less<>> refused;    // destinations that are answered with "denied"
  // Listeners whose new address cannot be had, and why: held back as well.
  std::map<std::string, std::string, std::less<>> unusable;
};

// A resource that is not in force as it was pushed.
struct HeldBack {
  xds::ResourceKey resource;
  bool has_former = false;  // its former form is in force; else nothing of it is
  std::string why;
};

struct Merged {
  std::shared_ptr<const Snapshot> snapshot;  // never null
  std::vector<xds::Refusal> refusals;        // faulty; what merely waits is not among them
  std::vector<HeldBack> held;                // both
  std::set<xds::ResourceKey> in_use;         // what former forms still refer to
  Problems others;                           // faults that are not in a pushed resource
};

// `fixed` are the bootstrap's resources; a pushed one of the same type and name is refused.
// `materials` must be complete. An identity that is missing is something that has not arrived.
Merged compile_holding_back(const xds::ResourceSet& fixed, const Pushed& pushed,
                            const Materials& materials, const Snapshot* previous);

}  // namespace tulle::config
