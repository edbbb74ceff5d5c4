// What an idle TLS connection costs. Operators pay for thousands of them.
#include <gtest/gtest.h>
#include <malloc.h>

#include <list>

#include "tests/support/tls_pair.hpp"

namespace tulle {
namespace {

using namespace tulle::testing;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMeasurable = false;
#else
constexpr bool kMeasurable = true;
#endif

TEST(TlsMemory, IdleConnectionsGiveTheirBuffersBack) {
  if (!kMeasurable)
    GTEST_SKIP() << "the sanitizer has its own allocator";
  constexpr int kPairs = 200;
  const auto client_context = *TlsContext::client(client_options(), "");
  const auto server_context = *TlsContext::server(server_options(), true);
  SimulatedClock clock;
  SimulatedLoop loop(clock);
  std::list<Recorder> ends;
  const auto connect = [&](int count) {
    for (int i = 0; i < count; ++i) {
      auto [near, far] = MemoryStream::pair(loop);
      Recorder& client = ends.emplace_back(make_tls_stream(loop, std::move(near), client_context));
      Recorder& server = ends.emplace_back(make_tls_stream(loop, std::move(far), server_context));
      client.send("request");
      server.send("reply");
      ASSERT_TRUE(clock.run_until_quiet());
      ASSERT_TRUE(client.text == "reply" && server.text == "request");
    }
    trim_chunk_pool();
  };
  connect(10);  // what is made once and kept
  const size_t before = mallinfo2().uordblks;
  connect(kPairs);
  const size_t per_end = (mallinfo2().uordblks - before) / (2 * kPairs);
  RecordProperty("bytes_per_end", static_cast<int>(per_end));
  // OpenSSL 3.0 keeps 13 KiB of it: 7.5 for the SSL, 2 for ciphers, 1 for the session, 1 for keys
  // of the exchange. The peer's certificates, 4 to 5 KiB each, are gone.
  EXPECT_LT(per_end, 17'500u);
}

}  // namespace
}  // namespace tulle
