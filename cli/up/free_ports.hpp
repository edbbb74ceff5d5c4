// free_ports: ports of this machine that nobody uses.
//
// From a range below the one from which the kernel takes ports for outgoing connections, beginning
// at a random place, so that two `up` at once hardly ever look at the same ones.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/result.hpp"

namespace tulle::cli {

Result<std::vector<uint16_t>> free_ports(size_t count);

}  // namespace tulle::cli
