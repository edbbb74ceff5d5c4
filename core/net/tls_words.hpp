// What went wrong with TLS, in words. OpenSSL's own texts name its functions; people need reasons.
//
// Every function that says "take" empties this thread's OpenSSL error queue.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/result.hpp"

struct asn1_string_st;

namespace tulle {

// "unknown ca" for 48: the names of RFC 8446 with spaces.
std::string alert_name(int alert);

// "2026-11-20 10:00:00 UTC".
std::string time_in_words(int64_t unix_seconds);
int64_t unix_seconds_of(const asn1_string_st* time);

// The oldest error of the queue as a sentence; `fallback` when the queue is empty.
std::string take_tls_failure(const std::string& fallback);

// Empties the queue before a call whose failure is going to be looked at. It is empty nearly always,
// and looking costs a tenth of clearing: this runs for every record.
void drop_tls_failures();

// The same for PEM and key material: OpenSSL's reason, short.
std::string take_openssl_reason(const std::string& fallback);

}  // namespace tulle
