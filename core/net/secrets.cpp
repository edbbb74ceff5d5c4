#include "core/net/secrets.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "core/base/assert.hpp"

namespace tulle {

namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string digest_of(const char* name, size_t bytes, std::string_view content) {
  std::string digest(bytes, '\0');
  size_t size = 0;
  const int done = EVP_Q_digest(nullptr, name, nullptr, content.data(), content.size(),
                                reinterpret_cast<unsigned char*>(digest.data()), &size);
  ASSERT(done == 1 && size == digest.size());
  return digest;
}

}  // namespace

std::string random_bytes(size_t count) {
  std::string bytes(count, '\0');
  const int done = RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()),
                              static_cast<int>(bytes.size()));
  ASSERT(done == 1);
  return bytes;
}

std::string random_token(size_t bytes) { return base64url(random_bytes(bytes)); }

std::string base64url(std::string_view bytes) {
  std::string text;
  unsigned held = 0;
  unsigned bits = 0;
  for (const char c : bytes) {
    held = held << 8 | static_cast<unsigned char>(c);
    bits += 8;
    while (bits >= 6) {
      bits -= 6;
      text += kAlphabet[held >> bits & 63];
    }
  }
  if (bits > 0) text += kAlphabet[held << (6 - bits) & 63];
  return text;
}

std::optional<std::string> from_base64url(std::string_view text) {
  std::string bytes;
  unsigned held = 0;
  unsigned bits = 0;
  for (const char c : text) {
    const size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    held = (held << 6 | static_cast<unsigned>(digit)) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>(held >> bits & 0xff);
    }
  }
  // Left over: nothing but zeros, and less than a digit. So every value has one spelling.
  if (bits >= 6 || (held & ((1u << bits) - 1)) != 0) return std::nullopt;
  return bytes;
}

std::string base64(std::string_view bytes) {
  std::string text = base64url(bytes);
  for (char& c : text) c = c == '-' ? '+' : c == '_' ? '/' : c;
  text.append((4 - text.size() % 4) % 4, '=');
  return text;
}

std::string hmac_sha256(std::string_view key, std::string_view content) {
  std::string digest(32, '\0');
  size_t size = 0;
  const unsigned char* done =
      EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(),
                reinterpret_cast<const unsigned char*>(content.data()), content.size(),
                reinterpret_cast<unsigned char*>(digest.data()), digest.size(), &size);
  ASSERT(done != nullptr && size == digest.size());
  return digest;
}

std::string sha1(std::string_view content) { return digest_of("SHA1", 20, content); }
std::string sha256(std::string_view content) { return digest_of("SHA256", 32, content); }

std::string sha256_hex(std::string_view content) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : sha256(content)) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

bool equal_secrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace tulle
