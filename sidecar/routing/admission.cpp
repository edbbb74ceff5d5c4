#include "sidecar/routing/admission.hpp"

#include "sidecar/config/snapshot.hpp"

namespace tulle::routing {

void Admission::set(const Limits& limits) {
  max_requests_.store(limits.max_requests, std::memory_order_relaxed);
  max_connections_.store(limits.max_connections, std::memory_order_relaxed);
  max_pending_.store(limits.max_pending_requests, std::memory_order_relaxed);
}

bool Admission::mark_ejected(const Address& endpoint) {
  std::lock_guard lock(mutex_);
  return ejected_.insert(endpoint.to_string()).second;
}

bool Admission::unmark_ejected(const Address& endpoint) {
  std::lock_guard lock(mutex_);
  return ejected_.erase(endpoint.to_string()) > 0;
}

std::shared_ptr<Admission> Admissions::of(const config::ClusterConfig& cluster) {
  std::lock_guard lock(mutex_);
  std::weak_ptr<Admission>& entry = by_name_[cluster.name];
  std::shared_ptr<Admission> admission = entry.lock();
  if (admission == nullptr) {
    admission = std::make_shared<Admission>();
    entry = admission;
    std::erase_if(by_name_, [](const auto& item) { return item.second.expired(); });
  }
  return admission;
}

}  // namespace tulle::routing
