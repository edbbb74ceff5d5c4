#include "sidecar/exchange/exhausted_requests.hpp"

#include <functional>
#include <string_view>

#include "sidecar/exchange/trace_id.hpp"

namespace tulle::exchange {
namespace {

// 0: the request does not say which it is.
uint64_t key_of(const Head& request) {
  const std::string_view trace = trace_id_of(request);
  const auto id = request.fields.get(FieldId::x_request_id);
  if (trace.empty() || !id || id->empty()) return 0;
  const std::hash<std::string_view> hash;
  const uint64_t key = hash(trace) * 0x9e3779b97f4a7c15 ^ hash(*id);
  return key == 0 ? 1 : key;
}

}  // namespace

void ExhaustedRequests::note(const Head& request, Instant now) {
  const uint64_t key = key_of(request);
  if (key == 0) return;
  std::lock_guard lock(mutex_);
  marks_[next_] = {key, now};
  next_ = (next_ + 1) % kKept;
  any_.store(true, std::memory_order_relaxed);
}

bool ExhaustedRequests::knows(const Head& request, Instant now) {
  if (!any_.load(std::memory_order_relaxed)) return false;
  const uint64_t key = key_of(request);
  if (key == 0) return false;
  std::lock_guard lock(mutex_);
  for (const Mark& mark : marks_) {
    if (mark.key == key && now - mark.at <= kRemembered) return true;
  }
  return false;
}

}  // namespace tulle::exchange
