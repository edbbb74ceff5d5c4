// trust_bundle_in(): the CA certificates of a pushed validation secret (ROOTCA), as PEM.
#pragma once

#include <string>

#include "core/base/result.hpp"
#include "xds/resource_set.hpp"

namespace tulle::config {

// Inline only: what is pushed names no files. The error says what is wrong, for the rejection.
Result<std::string> trust_bundle_in(const xds::Resource& secret);

}  // namespace tulle::config
