// Entry: a policy as the snapshot carries it: its type and its parsed configuration. Immutable.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace tulle::policies {

struct PolicyType;  // catalog.hpp

class PolicyConfig {
 public:
  virtual ~PolicyConfig() = default;
  virtual bool equals(const PolicyConfig& other) const = 0;  // `other` is of the same type
  virtual std::string text() const = 0;                      // for people: "budget=20% min=3"
};

struct Entry {
  const PolicyType* type = nullptr;
  std::shared_ptr<const PolicyConfig> config;
};

// Of one route or one cluster: in the catalog's order, each type at most once.
using Entries = std::vector<Entry>;

// The configuration of the named policy, or null. For administration and tests; compares names.
const PolicyConfig* find(const Entries& entries, std::string_view name);

}  // namespace tulle::policies
