// ContentHash: 128 bits that stand for a content. Equal content is what lets two generations of
// the configuration share a node.
//
// Invariant: two contents with equal hashes are treated as equal. XXH3 is not cryptographic; the
// contents come from the mesh's own control plane or from the operator's own file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tulle::xds {

struct ContentHash {
  uint64_t high = 0;
  uint64_t low = 0;

  friend auto operator<=>(const ContentHash&, const ContentHash&) = default;
  std::string hex() const;  // 32 lower-case digits
};

ContentHash hash_of(std::string_view bytes);

// Hashes a sequence of fields. Lengths are hashed too, so {"ab", "c"} and {"a", "bc"} differ.
class HashBuilder {
 public:
  HashBuilder& add(std::string_view bytes);
  HashBuilder& add(uint64_t number);
  HashBuilder& add(const ContentHash& hash);
  ContentHash finish() const;

 private:
  std::string bytes_;
};

}  // namespace tulle::xds
