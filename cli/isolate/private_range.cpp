#include "cli/isolate/private_range.hpp"

#include <charconv>
#include <cstdio>
#include <vector>

namespace tulle::cli {
namespace {

// A unique local prefix (RFC 4193) whose global id spells the name.
constexpr std::string_view kPrefix6 = "fd74:756c:6c65";
constexpr std::string_view kPrefix6Digits = "fd74756c6c65";

struct Route4 {
  uint32_t network = 0;  // most significant byte first
  uint32_t mask = 0;
};

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  size_t at = 0;
  while ((at = line.find_first_not_of(" \t", at)) != std::string_view::npos) {
    const size_t end = std::min(line.find_first_of(" \t", at), line.size());
    fields.push_back(line.substr(at, end - at));
    at = end;
  }
  return fields;
}

bool read_hex(std::string_view text, uint32_t& number) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  return read.ec == std::errc() && read.ptr == text.data() + text.size();
}

template <class Take>
void each_line(std::string_view text, Take take) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    take(fields_of(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// Iface Destination Gateway Flags RefCnt Use Metric Mask ...; numbers as they are in memory.
std::vector<Route4> read_routes4(std::string_view text) {
  std::vector<Route4> routes;
  each_line(text, [&](const std::vector<std::string_view>& fields) {
    Route4 route;
    if (fields.size() < 8 || !read_hex(fields[1], route.network) || !read_hex(fields[7], route.mask)) return;
    route.network = __builtin_bswap32(route.network);
    route.mask = __builtin_bswap32(route.mask);
    if (route.mask != 0) routes.push_back(route);
  });
  return routes;
}

// The fourth groups below our prefix that are taken. A shorter prefix that covers ours takes all.
struct Routes6 {
  std::vector<std::pair<uint16_t, uint16_t>> taken;  // first and last
  bool all = false;
};

Routes6 read_routes6(std::string_view text) {
  Routes6 routes;
  each_line(text, [&](const std::vector<std::string_view>& fields) {
    uint32_t length = 0;
    if (fields.size() < 2 || fields[0].size() != 32 || !read_hex(fields[1], length) || length == 0) return;
    const size_t digits = std::min<size_t>(length / 4, kPrefix6Digits.size());
    if (fields[0].substr(0, digits) != kPrefix6Digits.substr(0, digits)) return;
    if (length <= 48) {
      routes.all = true;
      return;
    }
    uint32_t group = 0;
    if (!read_hex(fields[0].substr(12, 4), group)) return;
    const uint32_t behind = length >= 64 ? 0 : (1U << (64 - length)) - 1;
    routes.taken.emplace_back(group & ~behind, group | behind);
  });
  return routes;
}

// Where few networks are, before where many are.
std::vector<std::pair<uint8_t, uint8_t>> candidates() {
  std::vector<std::pair<uint8_t, uint8_t>> all;
  for (int second = 213; second > 181; --second) all.emplace_back(10, second);
  for (int second = 120; second > 104; --second) all.emplace_back(100, second);
  all.emplace_back(198, 18);
  all.emplace_back(198, 19);
  for (int second = 31; second > 17; --second) all.emplace_back(172, second);
  return all;
}

}  // namespace

Result<PrivateRange> PrivateRange::choose(std::string_view routes4, std::string_view routes6) {
  const Routes6 taken6 = read_routes6(routes6);
  int group = taken6.all ? -1 : 2;  // 0 would be written in another way
  for (const auto& [first, last] : taken6.taken) {
    if (group >= 0 && first <= group + 1 && last >= group) group = (last + 2) & ~1;
    if (group > 0xfffe) group = -1;
  }
  // With every group taken, or routes in no order: the last is as good as any, nothing breaks.
  const auto free_group = static_cast<uint16_t>(group < 0 ? 0xfffe : group);
  const std::vector<Route4> taken4 = read_routes4(routes4);
  for (const auto& [first, second] : candidates()) {
    const uint32_t network = static_cast<uint32_t>(first) << 24 | static_cast<uint32_t>(second) << 16;
    bool overlaps = false;
    for (const Route4& route : taken4) {
      const uint32_t both = route.mask & 0xffff0000U;
      overlaps = overlaps || (route.network & both) == (network & both);
    }
    if (!overlaps) return PrivateRange(first, second, free_group);
  }
  return Error{Code::invalid_config, Origin::local,
               "every private address range that could be used is routed by this machine already "
               "(10.182-213, 100.105-120, 198.18-19, 172.18-31; see: ip route)"};
}

std::string PrivateRange::instance_number4(unsigned number) const {
  char text[20];
  std::snprintf(text, sizeof text, "%u.%u.%u.%u", first_, second_, number >> 8 & 127, number & 255);
  return text;
}

std::string PrivateRange::service4(unsigned index) const {
  char text[20];
  const unsigned number = index + 1;
  std::snprintf(text, sizeof text, "%u.%u.%u.%u", first_, second_, 128 + (number >> 8 & 127), number & 255);
  return text;
}

std::string PrivateRange::instance_number6(unsigned number) const {
  char text[40];
  std::snprintf(text, sizeof text, "%s:%x::%x", kPrefix6.data(), group_, number);
  return text;
}

std::string PrivateRange::service6(unsigned index) const {
  char text[40];
  std::snprintf(text, sizeof text, "%s:%x::%x", kPrefix6.data(), group_ + 1, index + 1);
  return text;
}

std::string PrivateRange::text4() const {
  return std::to_string(first_) + "." + std::to_string(second_) + ".0.0/16";
}

std::string PrivateRange::text6() const {
  char text[40];
  std::snprintf(text, sizeof text, "%s:%x::/63", kPrefix6.data(), group_);
  return text;
}

}  // namespace tulle::cli
