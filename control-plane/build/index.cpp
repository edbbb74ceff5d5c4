#include "control-plane/build/index.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace tulle::build {

namespace {

using model::Difference;
using model::Document;
using model::DocumentPtr;
using model::Kind;

Input input(std::string_view kind, std::string_view namespace_name, std::string_view name) {
  Input text(kind);
  text.append("/").append(namespace_name).append("/").append(name);
  return text;
}

auto place_of(const model::Metadata& metadata) {
  return std::tie(metadata.namespace_name, metadata.name);
}

// The groups a document belongs to. A Service is found by its name and by its addresses.
std::set<Input> groups_of(const Document& document) {
  std::set<Input> groups;
  if (document.kind() == Kind::workload) {
    groups.insert(
        workloads_input(document.metadata.namespace_name, document.workload().service));
    groups.insert(address_input(document.workload().address));
  } else if (document.kind() == Kind::service) {
    for (const std::string& ip : document.service().cluster_ips) {
      groups.insert(cluster_ip_input(ip));
    }
  } else if (document.kind() == Kind::http_route) {
    for (const model::ParentRef& parent : document.http_route().parent_refs) {
      groups.insert(routes_input(parent.namespace_name, parent.name));
    }
  }
  return groups;
}

// A workload that has moved is gone from where it was.
bool is_removal(const Difference& difference) {
  if (difference.before == nullptr || difference.before->kind() != Kind::workload) return false;
  return difference.after == nullptr ||
         !(difference.after->workload() == difference.before->workload());
}

// What was written again with the same content changes no resource. The age of routes decides
// between them.
bool says_the_same(const Difference& difference) {
  if (difference.before == nullptr || difference.after == nullptr) return false;
  return difference.before->spec == difference.after->spec &&
         difference.before->metadata.creation_timestamp ==
             difference.after->metadata.creation_timestamp;
}

}  // namespace

Input service_input(std::string_view namespace_name, std::string_view service) {
  return input("service", namespace_name, service);
}

Input workloads_input(std::string_view namespace_name, std::string_view account) {
  return input("workloads", namespace_name, account);
}

Input address_input(std::string_view ip) { return input("address", "", ip); }

Input cluster_ip_input(std::string_view ip) { return input("cluster-ip", "", ip); }

Input routes_input(std::string_view namespace_name, std::string_view service) {
  return input("routes", namespace_name, service);
}

Input trust_input() { return "trust"; }

std::vector<Touch> Index::advance(const model::StoreView& to) {
  std::unordered_map<Input, bool> touched;
  for (const Kind kind : model::kKinds) {
    for (const Difference& difference : model::differences(view_, to, kind)) {
      std::set<Input> groups;
      if (difference.before != nullptr) {
        groups = groups_of(*difference.before);
        for (const Input& group : groups) remove(group, difference.before->key());
      }
      if (difference.after != nullptr) {
        for (const Input& group : groups_of(*difference.after)) {
          add(group, difference.after);
          groups.insert(group);
        }
      }
      if (says_the_same(difference)) continue;
      if (kind == Kind::service) {
        const Document& any = difference.after ? *difference.after : *difference.before;
        groups.insert(service_input(any.metadata.namespace_name, any.metadata.name));
      }
      for (const Input& group : groups) touched[group] |= is_removal(difference);
    }
  }
  view_ = to;
  std::vector<Touch> touches;
  touches.reserve(touched.size());
  for (auto& [group, removal] : touched) touches.push_back({group, removal});
  return touches;
}

const Index::Documents& Index::find(const Input& input) const {
  static const Documents kNone;
  const auto found = groups_.find(input);
  return found == groups_.end() ? kNone : found->second;
}

void Index::add(const Input& input, const DocumentPtr& document) {
  Documents& group = groups_[input];
  const auto place = std::ranges::lower_bound(
      group, place_of(document->metadata), {},
      [](const DocumentPtr& each) { return place_of(each->metadata); });
  group.insert(place, document);
}

void Index::remove(const Input& input, const model::Key& key) {
  const auto group = groups_.find(input);
  if (group == groups_.end()) return;
  std::erase_if(group->second, [&](const DocumentPtr& each) {
    return each->metadata.name == key.name && each->metadata.namespace_name == key.namespace_name;
  });
  if (group->second.empty()) groups_.erase(group);
}

}  // namespace tulle::build
