// sniff(): what the first bytes of a connection say about its protocol. Pure.
//
// Invariants, shown by the fuzz target: a verdict other than `undecided` never changes when more
// bytes come, and kMostSniffed bytes are always enough for one. What merely looks like HTTP is HTTP:
// better an answer that says what is wrong with a request than a request that nobody looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/bytes.hpp"

namespace tulle::accept {

// The largest ClientHello that is looked into: key shares of hybrid groups take some KiB.
inline constexpr size_t kMostSniffed = 16 * 1024;

struct Sniffed {
  enum class Kind : uint8_t {
    undecided,  // more bytes are needed
    http1,      // a request line, well-formed or not
    http2,      // the connection preface of prior knowledge
    tls,        // a ClientHello
    opaque,     // none of these
  };
  Kind kind = Kind::undecided;
  bool http10 = false;            // http1: the version is 1.0
  std::string server_name;        // tls: SNI in lower case; empty: none, or not a host name
  std::vector<std::string> alpn;  // tls: what the client offers, in its order

  friend bool operator==(const Sniffed&, const Sniffed&) = default;
};

// `first`: all that has come so far.
Sniffed sniff(ByteView first);

}  // namespace tulle::accept
