#include "core/http/grpc_timeout.hpp"

#include <algorithm>

namespace tulle {
namespace {

constexpr size_t kMostDigits = 8;
constexpr int64_t kLargestNumber = 99'999'999;
constexpr Duration kCentury = std::chrono::hours(24 * 365 * 100);

// Zero: no such unit.
Duration unit_of(char letter) {
  switch (letter) {
    case 'H': return 1h;
    case 'M': return 1min;
    case 'S': return 1s;
    case 'm': return 1ms;
    case 'u': return 1us;
    case 'n': return 1ns;
    default: return Duration{0};
  }
}

}  // namespace

std::optional<Duration> parse_grpc_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kMostDigits + 1) return std::nullopt;
  const Duration unit = unit_of(text.back());
  if (unit == Duration{0}) return std::nullopt;
  int64_t number = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = 10 * number + (c - '0');
  }
  if (number > kCentury / unit) return kCentury;
  return number * unit;
}

std::optional<Duration> grpc_timeout_in(const Fields& fields) {
  if (!fields.has(FieldId::grpc_timeout) || fields.count(FieldId::grpc_timeout) != 1) {
    return std::nullopt;
  }
  return parse_grpc_timeout(*fields.get(FieldId::grpc_timeout));
}

std::string grpc_timeout(Duration timeout) {
  for (const char letter : {'u', 'm', 'S', 'M'}) {
    const int64_t number = timeout / unit_of(letter);
    if (number <= kLargestNumber) return std::to_string(std::max<int64_t>(number, 1)) + letter;
  }
  return std::to_string(timeout / unit_of('H')) + 'H';
}

}  // namespace tulle
