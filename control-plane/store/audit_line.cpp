#include "control-plane/store/audit_line.hpp"

#include <ctime>
#include <nlohmann/json.hpp>

namespace tulle::store {

std::string audit_line(const Operation& operation) {
  const time_t seconds = operation.time_us / 1'000'000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char time[40];
  strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &parts);
  char fraction[16];
  snprintf(fraction, sizeof fraction, ".%06dZ", static_cast<int>(operation.time_us % 1'000'000));
  nlohmann::ordered_json line;
  line["time"] = std::string(time) + fraction;
  line["actor"] = operation.audit.actor;
  line["action"] = operation.audit.action;
  line["object"] = operation.audit.object;
  if (!operation.audit.detail.empty()) line["detail"] = operation.audit.detail;
  line["outcome"] = operation.outcome;
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace tulle::store
