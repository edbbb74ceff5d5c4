#include "xds/content_hash.hpp"

#include <cstdio>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tulle::xds {

std::string ContentHash::hex() const {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(high),
                static_cast<unsigned long long>(low));
  return text;
}

ContentHash hash_of(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

HashBuilder& HashBuilder::add(std::string_view bytes) {
  add(bytes.size());
  bytes_.append(bytes);
  return *this;
}

HashBuilder& HashBuilder::add(uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8) bytes_.push_back(static_cast<char>(number >> shift));
  return *this;
}

HashBuilder& HashBuilder::add(const ContentHash& hash) { return add(hash.high).add(hash.low); }

ContentHash HashBuilder::finish() const { return hash_of(bytes_); }

}  // namespace tulle::xds
