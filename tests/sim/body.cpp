#include "tests/sim/body.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/rng.hpp"

namespace tulle::sim {
namespace {

constexpr size_t kPeriod = 65521;  // a prime: pieces of round sizes do not begin at equal places

const char* noise() {
  static const auto table = [] {
    std::array<char, kPeriod> bytes;
    Rng rng(1);
    for (char& byte : bytes)
      byte = static_cast<char>(rng.next());
    return bytes;
  }();
  return table.data();
}

// The longest stretch of the table that a body has at `offset`.
ByteView stretch(uint64_t message, size_t offset, size_t size) {
  const size_t at = (message * 7919 + offset) % kPeriod;
  return {noise() + at, std::min(size, kPeriod - at)};
}

}  // namespace

Bytes body_part(uint64_t message, size_t offset, size_t size) {
  Bytes part;
  while (part.size() < size)
    part.append(stretch(message, offset + part.size(), size - part.size()));
  return part;
}

std::string body_digest(uint64_t message, size_t size) {
  return std::to_string(message) + "-" + std::to_string(size);
}

void BodyCheck::take(const Bytes& part) {
  for (size_t i = 0; i < part.slice_count(); ++i)
    compare(part.slice(i));
}

void BodyCheck::compare(ByteView piece) {
  while (!piece.empty()) {
    const ByteView expected = stretch(message_, size_, piece.size());
    if (intact() && std::memcmp(expected.data(), piece.data(), expected.size()) != 0) {
      wrong_at_ = size_;
    }
    size_ += expected.size();
    piece.remove_prefix(expected.size());
  }
}

}  // namespace tulle::sim
