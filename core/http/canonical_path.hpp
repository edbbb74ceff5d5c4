// canonical_path: the one spelling of a request path that routing, policies and the next hop see.
//
// Pure, no state. Escapes of unreserved bytes are decoded, then dot segments are resolved; every
// other byte stays as it came, the query always. What two servers might read differently is refused:
// broken escapes, %00, %5c, bytes that no path may hold, dot segments that lead above the root. Two
// more rules hold where somebody asks for them (PathRules). Invariant: what comes out is canonical,
// so doing it twice changes nothing. A path that is canonical already costs one scan and no copy.
#pragma once

#include <string>
#include <string_view>

namespace tulle {

// Applications that read `//` and `%2f` in their own ways depend on getting them unchanged, so both
// rules are off unless a rule about paths guards the workload.
struct PathRules {
  bool merge_slashes = false;
  bool refuse_escaped_slashes = false;  // %2f, and dot segments with parameters (`..;x`)

  friend bool operator==(const PathRules&, const PathRules&) = default;
};

// `path` in origin form with its query; "*", and nothing (CONNECT), stay as they are.
bool is_canonical_path(std::string_view path, const PathRules& rules);
// Null: `path` is canonical now. Otherwise why it is refused, in static text.
const char* canonicalise_path(std::string& path, const PathRules& rules);

}  // namespace tulle
