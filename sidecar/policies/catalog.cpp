#include "sidecar/policies/catalog.hpp"

#include <google/protobuf/message.h>

#include "core/base/assert.hpp"
#include "sidecar/policies/limits/limits.hpp"
#include "sidecar/policies/outlier_detection/outlier_detection.hpp"
#include "sidecar/policies/retry/retry.hpp"
#include "sidecar/policies/retry_budget/retry_budget.hpp"
#include "sidecar/policies/timeout/timeout.hpp"

namespace tulle::policies {
namespace {

constexpr std::string_view kRoute = "envoy.config.route.v3.RouteAction";
constexpr std::string_view kCluster = "envoy.config.cluster.v3.Cluster";

// In the order of asking: retry wants another attempt before the budget may say no.
constexpr PolicyType kCatalog[] = {
    {"timeout", kRoute, at({Moment::request, Moment::attempt}), &timeout::parse, &timeout::make,
     &timeout::fields},
    {"retry", kRoute, at({Moment::request, Moment::outcome}), &retry::parse, &retry::make,
     &retry::fields},
    {"limits", kCluster, at({Moment::request, Moment::outcome}), &limits::parse, &limits::make,
     &limits::fields},
    {"retry_budget", kCluster, at({Moment::outcome}), &retry_budget::parse, &retry_budget::make,
     &retry_budget::fields},
    {"outlier_detection", kCluster, at({Moment::outcome}), &outlier_detection::parse,
     &outlier_detection::make, &outlier_detection::fields},
};
static_assert(std::size(kCatalog) <= kMostPolicies);

}  // namespace

std::span<const PolicyType> catalog() { return kCatalog; }

size_t index_of(const PolicyType& type) { return static_cast<size_t>(&type - kCatalog); }

Entries parse_entries(const google::protobuf::Message& message, const config::Place& place) {
  Entries entries;
  const std::string_view name = message.GetDescriptor()->full_name();
  for (const PolicyType& type : kCatalog) {
    if (type.message != name) continue;
    std::shared_ptr<const PolicyConfig> config = type.parse(message, place);
    if (config != nullptr) entries.push_back({&type, std::move(config)});
  }
  return entries;
}

const PolicyConfig* find(const Entries& entries, std::string_view name) {
  for (const Entry& entry : entries) {
    if (entry.type->name == name) return entry.config.get();
  }
  return nullptr;
}

}  // namespace tulle::policies
