#include "sidecar/routing/endpoint.hpp"

#include <cmath>

namespace tulle::routing {

void PeakEwma::observe(Duration sample, Instant now) {
  const double ns = static_cast<double>(sample.count());
  if (ns >= ewma_ns_) {
    ewma_ns_ = ns;
  } else {
    const double keep = std::exp(-static_cast<double>((now - updated_).count()) / kDecayNs);
    ewma_ns_ = ewma_ns_ * keep + ns * (1 - keep);
  }
  updated_ = now;
}

double PeakEwma::value(Instant now) const {
  // Without traffic the memory of a bad moment fades as well, else nobody would ever look again.
  // Linear instead of exponential: this runs twice per pick.
  const double idle = static_cast<double>((now - updated_).count());
  if (ewma_ns_ <= kInitialNs || idle <= 0) return ewma_ns_;
  const double left = idle >= 2 * kDecayNs ? 0 : 1 - idle / (2 * kDecayNs);
  return kInitialNs + (ewma_ns_ - kInitialNs) * left;
}

}  // namespace tulle::routing
