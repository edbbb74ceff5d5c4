// kHttp2Preface: what a client sends first on every HTTP/2 connection (RFC 9113, section 3.4).
//
// Whoever must tell HTTP/2 with prior knowledge from other protocols compares with these bytes.
// nghttp2 checks and sends them by itself, so the codec does not name them.
#pragma once

#include "core/base/bytes.hpp"

namespace tulle {

inline constexpr ByteView kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

}  // namespace tulle
