// Times as text.
#pragma once

#include <cstdint>
#include <string>

namespace tulle {

std::string rfc3339(int64_t unix_seconds);  // "2026-11-21T14:05:09Z"

}  // namespace tulle
