// Catalog: the policies that exist, in the order in which they are asked.
//
// Explicit on purpose: one line per policy in catalog.cpp, no registration by static objects.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>

#include "sidecar/config/problem.hpp"
#include "sidecar/config/supported_fields.hpp"
#include "sidecar/policies/policy.hpp"

namespace google::protobuf {
class Message;
}

namespace tulle::policies {

using Moments = uint8_t;  // a bit per Moment
constexpr Moments at(std::initializer_list<Moment> moments) {
  Moments bits = 0;
  for (const Moment moment : moments) bits |= static_cast<Moments>(1u << static_cast<unsigned>(moment));
  return bits;
}

struct PolicyType {
  std::string_view name;
  // Full name of the xDS message that holds its configuration: a RouteAction, a Cluster, or a type
  // that stands in an Any.
  std::string_view message;
  Moments moments;
  // Pure. Null: the message asks for nothing (or it was reported).
  std::shared_ptr<const PolicyConfig> (*parse)(const google::protobuf::Message&,
                                               const config::Place&);
  std::shared_ptr<Policy> (*make)(const std::shared_ptr<const PolicyConfig>&, const Site&);
  // The fields of `message` and below that parse() reads.
  std::span<const config::SupportedFields> (*fields)();
};

inline constexpr size_t kMostPolicies = 16;  // a bit set and a fixed array stand for them

std::span<const PolicyType> catalog();
size_t index_of(const PolicyType& type);

// What `message` configures, of all policies that read its type.
Entries parse_entries(const google::protobuf::Message& message, const config::Place& place);

}  // namespace tulle::policies
