#include "cli/render/time_text.hpp"

#include <stdio.h>
#include <time.h>

namespace tulle::cli {

std::string utc_text(WallTime time) {
  const time_t seconds = static_cast<time_t>(time.us / 1'000'000);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[40];
  const size_t size = ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  ::snprintf(text + size, sizeof text - size, ".%03dZ", static_cast<int>(time.us / 1000 % 1000));
  return text;
}

int64_t parse_utc(std::string_view text) {
  tm parts{};
  const std::string copy(text);
  const char* rest = ::strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr || (*rest != 'Z' && *rest != '.')) return 0;
  return ::timegm(&parts);
}

}  // namespace tulle::cli
