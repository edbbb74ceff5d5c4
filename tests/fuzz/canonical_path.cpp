// Canonical paths and authorities: what comes out is canonical, stays so, and means what the request
// said to a reader who decodes and walks it step by step.
//
// Input: one byte of rules, then a path.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/http/authority.hpp"
#include "core/http/canonical_path.hpp"

namespace tulle {
namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

bool is_unreserved(int c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         c == '-' || c == '.' || c == '_' || c == '~';
}

// A slow reader of its own: null when the path must be refused.
std::optional<std::string> read_slowly(std::string_view path, const PathRules& rules) {
  if (path.empty() || path == "*") return std::string(path);
  if (path.front() != '/') return std::nullopt;
  const size_t mark = path.find('?');
  const std::string_view query = mark == std::string_view::npos ? "" : path.substr(mark);
  std::vector<std::string> segments;
  for (size_t i = 0; i < path.size() - query.size(); ++i) {
    const auto c = static_cast<unsigned char>(path[i]);
    if (c == '/') {
      segments.emplace_back();
    } else if (c <= ' ' || c >= 0x7f || c == '#' || c == '\\') {
      return std::nullopt;
    } else if (c != '%') {
      segments.back() += path[i];
    } else {
      const std::string digits(path.substr(i + 1, std::min<size_t>(2, path.size() - query.size() - i - 1)));
      if (digits.size() < 2 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
        return std::nullopt;
      }
      const int byte = static_cast<int>(std::strtol(digits.c_str(), nullptr, 16));
      if (byte == 0 || byte == '\\' || (byte == '/' && rules.refuse_escaped_slashes)) return std::nullopt;
      segments.back() += is_unreserved(byte) ? std::string(1, static_cast<char>(byte)) : "%" + digits;
      i += 2;
    }
  }
  std::vector<std::string> kept;
  bool folder = false;  // the path ends with a slash
  for (const std::string& segment : segments) {
    const std::string bare = segment.substr(0, segment.find(';'));
    folder = segment == "." || segment == "..";
    if (!folder && (bare == "." || bare == "..") && rules.refuse_escaped_slashes) return std::nullopt;
    if (segment == "..") {
      if (kept.empty()) return std::nullopt;
      kept.pop_back();
    } else if (segment != ".") {
      kept.push_back(segment);
    }
  }
  if (folder) kept.emplace_back();
  std::string out;
  for (size_t i = 0; i < kept.size(); ++i) {
    const bool last = i + 1 == kept.size();
    if (rules.merge_slashes && kept[i].empty() && !last) continue;
    out += "/" + kept[i];
  }
  return out.append(query);
}

void check_path(std::string_view given, const PathRules& rules) {
  std::string path(given);
  const bool refused = canonicalise_path(path, rules) != nullptr;
  const std::optional<std::string> expected = read_slowly(given, rules);
  check(refused == !expected, "refused exactly when it must be");
  if (refused) return check(!is_canonical_path(given, rules), "a refused path is not canonical");
  check(path == *expected, "read as by the slow reader");
  check(is_canonical_path(given, rules) == (path == given), "canonical when nothing changes");
  check(is_canonical_path(path, rules), "canonical");
  std::string again = path;
  check(canonicalise_path(again, rules) == nullptr && again == path, "idempotent");
}

void check_authority(std::string_view given) {
  if (!is_authority(given)) return;
  std::string authority(given);
  canonicalise_authority(authority);
  check(is_authority(authority), "still an authority");
  check(same_authority(given, authority, "http"), "still the same authority");
  std::string again = authority;
  canonicalise_authority(again);
  check(again == authority, "idempotent");
}

}  // namespace
}  // namespace tulle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tulle;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const PathRules rules{.merge_slashes = (data[0] & 1) != 0,
                        .refuse_escaped_slashes = (data[0] & 2) != 0};
  check_path(text, rules);
  check_authority(text);
  return 0;
}
