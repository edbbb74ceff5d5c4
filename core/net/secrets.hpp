// Random secrets, digests and their comparison: what tokens and fingerprints are made of.
//
// Pure but for OpenSSL's generator; any thread. A generator that fails ends the process: there is
// nothing safe to go on with.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tulle {

std::string random_bytes(size_t count);
// `bytes` of randomness as base64url without padding: fits an URL, a header and a command line.
std::string random_token(size_t bytes = 32);

// Base64url without padding.
std::string base64url(std::string_view bytes);
std::optional<std::string> from_base64url(std::string_view text);  // nullopt: it is none

// Base64 with padding, as header fields have it (RFC 4648, 4).
std::string base64(std::string_view bytes);

std::string sha1(std::string_view content);        // 20 bytes; where a protocol asks for it, only
std::string sha256(std::string_view content);      // 32 bytes
std::string sha256_hex(std::string_view content);  // 64 lower-case digits

std::string hmac_sha256(std::string_view key, std::string_view content);  // 32 bytes

// Takes the same time wherever two secrets of one length differ.
bool equal_secrets(std::string_view a, std::string_view b);

}  // namespace tulle
