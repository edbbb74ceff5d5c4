// Times as text, for logs and tables.
#pragma once

#include <string>
#include <string_view>

#include "core/base/clock.hpp"

namespace tulle::cli {

std::string utc_text(WallTime time);  // "2026-11-21T14:05:09.123Z"
// Seconds since the epoch of "2026-11-21T14:05:09Z" (a fraction is ignored); 0: it is not that.
int64_t parse_utc(std::string_view text);

}  // namespace tulle::cli
