#include "sidecar/cpu_quota.hpp"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace tulle {
namespace {

constexpr unsigned kMaxWorkers = 4;  // a sidecar beside a service, not a gateway

// cgroup v2: "max 100000" or "150000 100000"; v1: two files. No quota: a large number.
double quota() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string limit;
  double period = 0;
  if (v2 >> limit >> period) return limit == "max" || period <= 0 ? 1e9 : std::atof(limit.c_str()) / period;
  std::ifstream v1("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double us = 0;
  if (v1 >> us && v1_period >> period && us > 0 && period > 0) return us / period;
  return 1e9;
}

}  // namespace

unsigned worker_count() {
  cpu_set_t mask;
  const int allowed = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1;
  const double whole = std::min<double>(allowed, quota());
  return std::clamp(static_cast<unsigned>(whole), 1u, kMaxWorkers);
}

}  // namespace tulle
