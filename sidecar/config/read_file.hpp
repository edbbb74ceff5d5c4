// read_file: the whole of a regular file, bounded.
#pragma once

#include <string>

#include "core/base/result.hpp"

namespace tulle::config {

// At most 64 MiB. The error's detail begins with the path.
Result<std::string> read_file(const std::string& path);

}  // namespace tulle::config
