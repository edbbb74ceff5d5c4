// Certificate requests from anybody who reaches the identity endpoint: whatever the bytes, they are
// read or refused with a reason, and what was read can be put into a certificate that holds.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/net/x509_issue.hpp"
#include "core/net/x509_key.hpp"
#include "core/net/x509_request.hpp"

namespace tulle {
namespace {

constexpr int64_t kNow = 1'800'000'000;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

const Issuer& issuer() {
  static const Issuer made = [] {
    const std::string key = generate_key();
    return Issuer{*issue_root(key, "fuzz", "spiffe://mesh.test", {kNow - 60, kNow + 86400}), key,
                  "fuzz"};
  }();
  return made;
}

void run(const std::string& text) {
  const auto request = read_request(text);
  if (!request) return check(!request.error().detail.empty(), "a refusal has a reason");
  check(text.size() <= kLargestRequest, "requests are bounded");
  check(request->key_fingerprint == fingerprint_of_public_key(request->public_key_der),
        "the fingerprint is the key's");
  const auto chain = issue_leaf(issuer(), {request->public_key_der,
                                           "spiffe://mesh.test/ns/default/sa/fuzz",
                                           {},
                                           {},
                                           {kNow - 60, kNow + 3600}});
  check(chain.has_value(), "what is read can be certified");
  const auto facts = verify_chain(*chain, issuer().certificate_pem, kNow);
  check(facts.has_value(), "the certificate holds");
  check(facts->spiffe_id == "spiffe://mesh.test/ns/default/sa/fuzz", "the name is ours");
}

}  // namespace
}  // namespace tulle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tulle::run(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
