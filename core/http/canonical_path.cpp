#include "core/http/canonical_path.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace tulle {
namespace {

enum class Byte : uint8_t { plain, slash, percent, query, forbidden };

// Bytes that mean themselves in a path are plain; a dot means more only behind a slash.
constexpr std::array<Byte, 256> kBytes = [] {
  std::array<Byte, 256> table{};
  table.fill(Byte::forbidden);
  for (int c = 0x21; c < 0x7f; ++c) table[static_cast<size_t>(c)] = Byte::plain;
  table['/'] = Byte::slash;
  table['%'] = Byte::percent;
  table['?'] = Byte::query;
  table['#'] = table['\\'] = Byte::forbidden;
  return table;
}();

Byte kind_of(char c) { return kBytes[static_cast<unsigned char>(c)]; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_unreserved(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// The byte that the escape at the beginning of `text` stands for; -1: it is none.
int escaped(std::string_view text) {
  if (text.size() < 3) return -1;
  const int high = hex_value(text[1]);
  const int low = hex_value(text[2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

const char* escape_problem(int byte, const PathRules& rules) {
  if (byte < 0) return "a broken escape in the path";
  if (byte == 0) return "%00 in the path";
  if (byte == '\\') return "an escaped backslash in the path";
  if (byte == '/' && rules.refuse_escaped_slashes) return "an escaped slash in the path";
  return nullptr;
}

bool is_dot_segment(std::string_view segment) { return segment == "." || segment == ".."; }

// Servers that cut parameters off before they resolve dots read `..;x` as `..`.
bool is_disguised_dot_segment(std::string_view segment) {
  const size_t end = segment.find(';');
  return end != std::string_view::npos && is_dot_segment(segment.substr(0, end));
}

// What follows a slash.
std::string_view segment_at(std::string_view path, size_t at) {
  const std::string_view rest = path.substr(at);
  return rest.substr(0, std::min(rest.find_first_of("/?"), rest.size()));
}

const char* decode(std::string& path, size_t& end, const PathRules& rules) {
  size_t to = 0;
  for (size_t from = 0; from < end; ++from, ++to) {
    path[to] = path[from];
    if (kind_of(path[from]) == Byte::forbidden) return "a byte in the path that no path may hold";
    if (path[from] != '%') continue;
    const int byte = escaped(std::string_view(path).substr(from, end - from));
    if (const char* problem = escape_problem(byte, rules)) return problem;
    if (is_unreserved(byte)) {
      path[to] = static_cast<char>(byte);
    } else {
      path[++to] = path[from + 1];
      path[++to] = path[from + 2];
    }
    from += 2;
  }
  path.erase(to, end - to);
  end = to;
  return nullptr;
}

// RFC 3986, 5.2.4, except that nothing leads above the root.
const char* resolve_dots(std::string& path, size_t& end, const PathRules& rules) {
  size_t to = 0;  // path[0, to) is the result so far: segments, each behind its slash
  for (size_t from = 0; from < end;) {
    const std::string_view segment = segment_at(std::string_view(path).substr(0, end), from + 1);
    const size_t next = from + 1 + segment.size();
    const bool last = next == end;
    if (rules.refuse_escaped_slashes && is_disguised_dot_segment(segment)) {
      return "a dot segment with parameters in the path";
    }
    if (!is_dot_segment(segment)) {
      std::copy(path.begin() + static_cast<ptrdiff_t>(from),
                path.begin() + static_cast<ptrdiff_t>(next),
                path.begin() + static_cast<ptrdiff_t>(to));
      to += next - from;
    } else {
      if (segment.size() == 2) {
        if (to == 0) return "the path leads above the root";
        to = path.rfind('/', to - 1);
      }
      if (last) path[to++] = '/';  // a directory is meant
    }
    from = next;
  }
  path.erase(to, end - to);
  end = to;
  return nullptr;
}

void merge_slashes(std::string& path, size_t end) {
  const auto begin = path.begin();
  const auto stop = begin + static_cast<ptrdiff_t>(end);
  const auto merged = std::unique(begin, stop, [](char a, char b) { return a == '/' && b == '/'; });
  path.erase(merged, stop);
}

bool is_exempt(std::string_view path) { return path.empty() || path == "*"; }

}  // namespace

bool is_canonical_path(std::string_view path, const PathRules& rules) {
  if (is_exempt(path)) return true;
  if (path.front() != '/') return false;
  for (size_t i = 0; i < path.size(); ++i) {
    switch (kind_of(path[i])) {
      case Byte::plain: break;
      case Byte::query: return true;
      case Byte::forbidden: return false;
      case Byte::percent: {
        const int byte = escaped(path.substr(i));
        if (escape_problem(byte, rules) != nullptr || is_unreserved(byte)) return false;
        break;
      }
      case Byte::slash: {
        if (i + 1 == path.size()) break;
        if (path[i + 1] == '/' && rules.merge_slashes) return false;
        if (path[i + 1] != '.') break;
        const std::string_view segment = segment_at(path, i + 1);
        if (is_dot_segment(segment)) return false;
        if (rules.refuse_escaped_slashes && is_disguised_dot_segment(segment)) return false;
        break;
      }
    }
  }
  return true;
}

const char* canonicalise_path(std::string& path, const PathRules& rules) {
  if (is_canonical_path(path, rules)) return nullptr;
  if (path.front() != '/') return "the path does not begin with a slash";
  size_t end = std::min(path.find('?'), path.size());
  if (const char* problem = decode(path, end, rules)) return problem;
  if (const char* problem = resolve_dots(path, end, rules)) return problem;
  if (rules.merge_slashes) merge_slashes(path, end);
  return nullptr;
}

}  // namespace tulle
