#include "core/base/log.hpp"

#include <memory>
#include <string>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace tulle::log {

namespace {

// Never destroyed, so that a message from a late destructor still has a logger.
spdlog::logger& logger() {
  static spdlog::logger& instance = *[] {
    auto* made = new spdlog::logger("tulle", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    made->set_level(spdlog::level::info);
    return made;
  }();
  return instance;
}

bool needs_escape(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// What a peer sent may be part of a message; a line break in it must not forge a second line.
std::string escape(std::string_view message) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (char c : message) {
    if (!needs_escape(c)) {
      out += c;
      continue;
    }
    out += "\\x";
    out += kHex[static_cast<unsigned char>(c) >> 4];
    out += kHex[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

void write(spdlog::level::level_enum level, std::string_view message) {
  if (!logger().should_log(level)) return;
  for (char c : message) {
    if (needs_escape(c)) {
      const std::string safe = escape(message);
      logger().log(level, spdlog::string_view_t(safe.data(), safe.size()));
      return;
    }
  }
  logger().log(level, spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace

void set_level(Level level) {
  switch (level) {
    case Level::debug: return logger().set_level(spdlog::level::debug);
    case Level::info: return logger().set_level(spdlog::level::info);
    case Level::warn: return logger().set_level(spdlog::level::warn);
    case Level::error: return logger().set_level(spdlog::level::err);
  }
}

void debug(std::string_view message) { write(spdlog::level::debug, message); }
void info(std::string_view message) { write(spdlog::level::info, message); }
void warn(std::string_view message) { write(spdlog::level::warn, message); }
void error(std::string_view message) { write(spdlog::level::err, message); }

}  // namespace tulle::log
