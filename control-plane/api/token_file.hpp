// The admin token's file: whoever may read it may do everything that the API can.
#pragma once

#include <string>

#include "core/base/result.hpp"

namespace tulle::api {

// Reads the token; makes one (0600, 256 random bits) when there is no file.
Result<std::string> read_or_make_token(const std::string& path);

}  // namespace tulle::api
