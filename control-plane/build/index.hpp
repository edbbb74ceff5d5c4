// Index: one StoreView, and by whom its documents are meant: the workloads of an account, the
// routes of a Service.
//
// Owns nothing but pointers into the view. advance() costs what has changed (and a comparison of
// pointers), not what is there. An Input names a part of the index that a resource was made from;
// advance() tells which of them have changed, so nobody has to guess what to build again.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "control-plane/model/store_view.hpp"

namespace tulle::build {

using Input = std::string;
Input service_input(std::string_view namespace_name, std::string_view service);
Input workloads_input(std::string_view namespace_name, std::string_view account);
Input address_input(std::string_view ip);
Input cluster_ip_input(std::string_view ip);
Input routes_input(std::string_view namespace_name, std::string_view service);
Input trust_input();

struct Touch {
  Input input;
  bool removal = false;  // something that callers may still use has gone: do not wait with that
};

class Index {
 public:
  using Documents = std::vector<model::DocumentPtr>;  // ordered by (namespace, name)

  Index() = default;
  explicit Index(const model::StoreView& view) { advance(view); }

  std::vector<Touch> advance(const model::StoreView& to);

  const model::StoreView& view() const { return view_; }
  model::DocumentPtr service(std::string_view namespace_name, std::string_view name) const {
    return view_.find(model::Kind::service, namespace_name, name);
  }
  const Documents& workloads_of(std::string_view namespace_name, std::string_view account) const {
    return find(workloads_input(namespace_name, account));
  }
  const Documents& workloads_at(std::string_view ip) const { return find(address_input(ip)); }
  // Null: no Service is there.
  model::DocumentPtr service_at(std::string_view ip) const {
    const Documents& there = find(cluster_ip_input(ip));
    return there.empty() ? nullptr : there.front();
  }
  // Every HTTPRoute, of any namespace, that names the Service as a parent.
  const Documents& routes_of(std::string_view namespace_name, std::string_view service) const {
    return find(routes_input(namespace_name, service));
  }

 private:
  const Documents& find(const Input& input) const;
  void add(const Input& input, const model::DocumentPtr& document);
  void remove(const Input& input, const model::Key& key);

  model::StoreView view_;
  std::unordered_map<Input, Documents> groups_;
};

}  // namespace tulle::build
