// The first bytes of a connection: a verdict, once given, never changes, and in the end there is one.
//
// Input: the bytes.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "sidecar/accept/sniff.hpp"

namespace tulle {
namespace {

using accept::Sniffed;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

}  // namespace
}  // namespace tulle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tulle;
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  const Sniffed whole = accept::sniff(bytes);
  bool decided = false;
  // Every cut where verdicts fall, fewer further on: the work is quadratic.
  for (size_t cut = 0; cut < size; cut += cut < 512 ? 1 : 97) {
    const Sniffed part = accept::sniff(bytes.substr(0, cut));
    if (part.kind == Sniffed::Kind::undecided) {
      check(!decided, "a verdict is not taken back");
      continue;
    }
    decided = true;
    check(part == whole, "a verdict does not change when more bytes come");
  }
  check(whole.kind != Sniffed::Kind::undecided || size < accept::kMostSniffed, "a verdict in the end");
  const bool tls = whole.kind == Sniffed::Kind::tls;
  check(tls || (whole.server_name.empty() && whole.alpn.empty()), "only TLS has names");
  for (const char c : whole.server_name) {
    check(static_cast<unsigned char>(c) > 0x20 && c != 0x7f && !(c >= 'A' && c <= 'Z'), "a clean name");
  }
  return 0;
}
