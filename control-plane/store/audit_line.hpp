// audit_line: one line of the audit log as JSON: {"time","actor","action","object","detail",
// "outcome"}. The only place where it gets its form.
#pragma once

#include <string>

#include "control-plane/store/engine.hpp"

namespace tulle::store {

std::string audit_line(const Operation& operation);

}  // namespace tulle::store
