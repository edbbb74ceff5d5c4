// What people call the kinds of documents.
#pragma once

#include <string>

#include "core/base/result.hpp"

namespace tulle::cli {

// "Service", "svc", "httproutes" ... -> the plural in the API's paths. The error says what there is.
Result<std::string> plural_of_kind(const std::string& said);

}  // namespace tulle::cli
