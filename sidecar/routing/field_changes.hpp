// apply: a route's changes to header fields, in order.
#pragma once

#include <vector>

#include "core/http/fields.hpp"
#include "sidecar/routing/route.hpp"

namespace tulle::routing {

void apply(const std::vector<FieldChange>& changes, Fields& fields);

}  // namespace tulle::routing
