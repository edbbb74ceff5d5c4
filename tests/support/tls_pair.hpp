// TlsPair: a TLS client and a TLS server connected in memory on a simulated clock, each with a
// recorder; and options for both sides signed by one CA.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "core/net/memory_stream.hpp"
#include "core/net/simulated_engine.hpp"
#include "core/net/tls.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/recorder.hpp"

namespace tulle::testing {

inline constexpr const char* kClientId = "spiffe://mesh.test/ns/default/sa/client";
inline constexpr const char* kServerId = "spiffe://mesh.test/ns/default/sa/server";

// Made once: keys cost time.
inline const TestCa& test_ca() {
  static const TestCa ca;
  return ca;
}
inline const TestCa& other_ca() {
  static const TestCa ca("another CA");
  return ca;
}

inline TlsOptions tls_options(const IssuedCertificate& own, std::vector<std::string> alpn = {}) {
  TlsOptions options;
  options.certificate_pem = own.certificate_pem;
  options.key_pem = own.key_pem;
  options.trust_pem = test_ca().pem();
  options.origin = "test";
  options.alpn = std::move(alpn);
  return options;
}
inline SanMatcher uri_is(std::string id) {
  return {SanMatcher::Type::uri, SanMatcher::Kind::exact, std::move(id)};
}
inline TlsOptions client_options() {
  static const IssuedCertificate own = test_ca().issue_spiffe(kClientId);
  TlsOptions options = tls_options(own);
  options.peer_sans = {uri_is(kServerId)};
  return options;
}
inline TlsOptions server_options() {
  static const IssuedCertificate own = test_ca().issue_spiffe(kServerId);
  return tls_options(own);
}

struct TlsPair {
  explicit TlsPair(const TlsOptions& client_side = client_options(),
                   const TlsOptions& server_side = server_options(), bool require_client = true,
                   const std::string& server_name = "", const MemoryStreamOptions& wire = {}) {
    auto client_context = TlsContext::client(client_side, server_name);
    auto server_context = TlsContext::server(server_side, require_client);
    EXPECT_TRUE(client_context) << client_context.error().detail;
    EXPECT_TRUE(server_context) << server_context.error().detail;
    auto [near, far] = MemoryStream::pair(loop, wire);
    client_wire = near.get();
    server_wire = far.get();
    client_wire->tap(&client_sent);
    server_wire->tap(&server_sent);
    client.own(make_tls_stream(loop, std::move(near), *client_context));
    server.own(make_tls_stream(loop, std::move(far), *server_context));
  }
  void settle() { EXPECT_TRUE(clock.run_until_quiet()); }
  void open() {
    settle();
    EXPECT_TRUE(client.opened) << client.detail();
    EXPECT_TRUE(server.opened) << server.detail();
    client_sent.clear();
    server_sent.clear();
  }

  SimulatedClock clock;
  SimulatedLoop loop{clock};
  MemoryStream* client_wire = nullptr;  // dangle once their TLS streams are gone
  MemoryStream* server_wire = nullptr;
  std::string client_sent;  // ciphertext
  std::string server_sent;
  Recorder client;
  Recorder server;
};

// The content types of the records in a piece of ciphertext, and how many there are.
inline std::vector<int> record_types(const std::string& wire) {
  std::vector<int> types;
  for (size_t at = 0; at + 5 <= wire.size();) {
    types.push_back(static_cast<unsigned char>(wire[at]));
    at += 5 + (static_cast<size_t>(static_cast<unsigned char>(wire[at + 3])) << 8 |
               static_cast<unsigned char>(wire[at + 4]));
  }
  return types;
}

// Different at every position, so that a shifted or doubled byte is noticed.
inline std::string pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>((i * 131 + i / 251) & 0xff);
  return text;
}

}  // namespace tulle::testing
