#include "sidecar/routing/admission.hpp"

namespace tulle::routing {

void Admission::set(const config::ClusterLimits& limits) {
  max_requests_.store(limits.max_requests, std::memory_order_relaxed);
  max_connections_.store(limits.max_connections, std::memory_order_relaxed);
  max_pending_.store(limits.max_pending_requests, std::memory_order_relaxed);
}

std::shared_ptr<Admission> Admissions::of(const config::ClusterConfig& cluster) {
  std::lock_guard lock(mutex_);
  std::weak_ptr<Admission>& entry = by_name_[cluster.name];
  std::shared_ptr<Admission> admission = entry.lock();
  if (admission == nullptr) {
    admission = std::make_shared<Admission>(cluster.limits);
    entry = admission;
    std::erase_if(by_name_, [](const auto& item) { return item.second.expired(); });
  }
  admission->set(cluster.limits);
  return admission;
}

}  // namespace tulle::routing
