// log: operational messages, one line each, key=value behind the text. Not the access log.
//
// Written by spdlog on standard error. Any thread. Never called per request.
#pragma once

#include <string_view>

namespace tulle::log {

enum class Level { debug, info, warn, error };

void set_level(Level level);
void debug(std::string_view message);
void info(std::string_view message);
void warn(std::string_view message);
void error(std::string_view message);

}  // namespace tulle::log
