// Our streams against plain OpenSSL on the other side: old versions, floods and other things that
// two of our own streams would never do to each other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "core/base/memory_budget.hpp"
#include "tests/support/deterministic_random.hpp"
#include "tests/support/tls_pair.hpp"

namespace tulle {
namespace {

using namespace tulle::testing;
using ::testing::HasSubstr;

// An SSL between two memory BIOs, which a test moves by hand.
class PlainOpenSsl {
 public:
  explicit PlainOpenSsl(bool is_client)
      : context_(SSL_CTX_new(is_client ? TLS_client_method() : TLS_server_method())) {
    const IssuedCertificate own = test_ca().issue_spiffe(is_client ? kClientId : kServerId);
    BIO* certificate = BIO_new_mem_buf(own.certificate_pem.data(), -1);
    X509* leaf = PEM_read_bio_X509(certificate, nullptr, nullptr, nullptr);
    BIO* key_text = BIO_new_mem_buf(own.key_pem.data(), -1);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(key_text, nullptr, nullptr, nullptr);
    SSL_CTX_use_certificate(context_, leaf);
    SSL_CTX_use_PrivateKey(context_, key);
    X509_free(leaf);
    EVP_PKEY_free(key);
    BIO_free(certificate);
    BIO_free(key_text);
    is_client_ = is_client;
  }
  ~PlainOpenSsl() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ERR_clear_error();
  }
  PlainOpenSsl(const PlainOpenSsl&) = delete;
  PlainOpenSsl& operator=(const PlainOpenSsl&) = delete;

  SSL_CTX* context() { return context_; }
  SSL* ssl() {
    if (ssl_ != nullptr)
      return ssl_;
    ssl_ = SSL_new(context_);
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_, in_, out_);
    is_client_ ? SSL_set_connect_state(ssl_) : SSL_set_accept_state(ssl_);
    return ssl_;
  }
  void feed(std::string& from) {
    ssl();
    BIO_write(in_, from.data(), static_cast<int>(from.size()));
    from.clear();
  }
  std::string drain() {
    std::string made(static_cast<size_t>(BIO_ctrl_pending(out_)), '\0');
    if (!made.empty())
      BIO_read(out_, made.data(), static_cast<int>(made.size()));
    return made;
  }
  std::string read() {
    char buffer[32768];
    const int got = SSL_read(ssl_, buffer, sizeof(buffer));
    ERR_clear_error();
    return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : std::string();
  }

 private:
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  BIO* in_ = nullptr;
  BIO* out_ = nullptr;
  bool is_client_ = false;
};

// One of our streams and the plain peer.
struct AgainstOpenSsl {
  explicit AgainstOpenSsl(bool peer_is_client, const TlsOptions& ours) : peer(peer_is_client) {
    auto [near, far] = MemoryStream::pair(loop);
    raw.own(std::move(near));
    auto context = peer_is_client ? TlsContext::server(ours, true) : TlsContext::client(ours, "");
    stream.own(make_tls_stream(loop, std::move(far), *context));
  }
  // Lets both sides talk until neither has anything to say.
  void settle() {
    for (int i = 0; i < 10; ++i) {
      SSL* ssl = peer.ssl();
      SSL_do_handshake(ssl);
      ERR_clear_error();
      push();
      peer.feed(raw.text);
    }
  }
  void push() {
    const std::string made = peer.drain();
    if (!made.empty())
      raw.send(made);
    clock.run_until_quiet();
  }
  SimulatedClock clock;
  SimulatedLoop loop{clock};
  Recorder raw;
  Recorder stream;
  PlainOpenSsl peer;
};

TEST(TlsPeer, DefaultsOfTheHandshake) {
  AgainstOpenSsl pair(true, server_options());
  pair.settle();
  ASSERT_TRUE(pair.stream.opened) << pair.stream.detail();
  EXPECT_STREQ(SSL_get_cipher(pair.peer.ssl()), "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(SSL_version(pair.peer.ssl()), TLS1_3_VERSION);
  EXPECT_EQ(SSL_get_negotiated_group(pair.peer.ssl()), NID_X25519);
  pair.stream.send("x");
  pair.settle();
  EXPECT_EQ(pair.peer.read(), "x");
  EXPECT_EQ(SSL_SESSION_is_resumable(SSL_get0_session(pair.peer.ssl())), 0) << "a ticket came";
}

TEST(TlsPeer, TicketsOfOthersDoNoHarm) {
  AgainstOpenSsl pair(false, client_options());
  SSL_CTX_set_num_tickets(pair.peer.context(), 4);
  pair.settle();
  ASSERT_TRUE(pair.stream.opened) << pair.stream.detail();
  SSL_write(pair.peer.ssl(), "after", 5);
  pair.settle();
  EXPECT_EQ(pair.stream.text, "after");
}

TEST(TlsPeer, Tls12OnlyWhenAllowed) {
  for (const bool allowed : {false, true}) {
    for (const bool peer_is_client : {false, true}) {
      TlsOptions ours = peer_is_client ? server_options() : client_options();
      ours.allow_tls12 = allowed;
      AgainstOpenSsl pair(peer_is_client, ours);
      SSL_CTX_set_max_proto_version(pair.peer.context(), TLS1_2_VERSION);
      if (peer_is_client)
        SSL_CTX_set_verify(pair.peer.context(), SSL_VERIFY_NONE, nullptr);
      pair.settle();
      EXPECT_EQ(pair.stream.opened, allowed) << pair.stream.detail();
      if (allowed) {
        SSL_write(pair.peer.ssl(), "old", 3);
        pair.settle();
        EXPECT_EQ(pair.stream.text, "old");
        EXPECT_THAT(SSL_get_cipher(pair.peer.ssl()), HasSubstr("GCM"));
      } else if (peer_is_client) {
        EXPECT_EQ(pair.stream.detail(), "no TLS version in common (TLS 1.3 is wanted)");
      }
    }
  }
}

TEST(TlsPeer, Tls11IsNeverSpoken) {
  TlsOptions ours = server_options();
  ours.allow_tls12 = true;
  AgainstOpenSsl pair(true, ours);
  SSL_CTX_set_security_level(pair.peer.context(), 0);
  SSL_CTX_set_min_proto_version(pair.peer.context(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(pair.peer.context(), TLS1_1_VERSION);
  pair.settle();
  EXPECT_TRUE(pair.stream.ended);
  EXPECT_FALSE(pair.stream.opened);
}

TEST(TlsPeer, RenegotiationIsRefused) {
  TlsOptions ours = server_options();
  ours.allow_tls12 = true;
  AgainstOpenSsl pair(true, ours);
  SSL_CTX_set_max_proto_version(pair.peer.context(), TLS1_2_VERSION);
  pair.settle();
  ASSERT_TRUE(pair.stream.opened);
  SSL_renegotiate(pair.peer.ssl());
  SSL_do_handshake(pair.peer.ssl());
  pair.push();
  pair.peer.feed(pair.raw.text);
  ERR_clear_error();
  EXPECT_EQ(SSL_do_handshake(pair.peer.ssl()), -1);
  EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
}

TEST(TlsPeer, KeyUpdatesAreFollowedAndAFloodOfThemEndsTheConnection) {
  AgainstOpenSsl pair(true, server_options());
  pair.settle();
  ASSERT_TRUE(pair.stream.opened);
  SSL* ssl = pair.peer.ssl();
  for (int i = 0; i < 3; ++i) {
    SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
    SSL_write(ssl, "data", 4);
    pair.settle();
  }
  EXPECT_EQ(pair.stream.text, "datadatadata");
  pair.stream.send("still here");
  pair.settle();
  EXPECT_EQ(pair.peer.read(), "still here");
  for (int i = 0; i < 100; ++i) {
    SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
    SSL_do_handshake(ssl);
  }
  pair.push();
  ASSERT_TRUE(pair.stream.ended);
  EXPECT_EQ(pair.stream.why->code, Code::protocol_error);
}

// A hello of some hundred bytes makes OpenSSL hold more than the open connection will.
TEST(TlsPeer, TheBudgetIsChargedForWhatAHandshakeHolds) {
  const auto charged = [] {
    MemoryMeter::of_thread().publish();
    return MemoryBudget::of_process().used(MemoryUse::tls);
  };
  const int64_t before = charged();
  {
    AgainstOpenSsl pair(true, server_options());
    EXPECT_LE(charged() - before, 1024) << "nobody has spoken";
    SSL_do_handshake(pair.peer.ssl());
    ERR_clear_error();
    pair.push();
    ASSERT_FALSE(pair.stream.opened);
    EXPECT_GE(charged() - before, 40 * 1024);
    pair.peer.feed(pair.raw.text);
    pair.settle();
    ASSERT_TRUE(pair.stream.opened);
    EXPECT_GE(charged() - before, 14 * 1024);
    EXPECT_LE(charged() - before, 16 * 1024);
  }
  EXPECT_EQ(charged(), before);
}

TEST(TlsPeer, ACurveThatWeDoNotHaveIsRefusedInWords) {
  AgainstOpenSsl pair(true, server_options());
  SSL_CTX_set1_groups_list(pair.peer.context(), "P-521");
  pair.settle();
  EXPECT_EQ(pair.stream.why->code, Code::tls_failed);
  EXPECT_EQ(pair.stream.detail(), "no key exchange group in common");
}

// Flipping any one byte of the client's first flight ends in one error or, where it does not
// matter, in a handshake; never in a crash.
TEST(TlsPeer, DamagedHelloIsOneError) {
  std::string hello;
  {
    PlainOpenSsl client(true);
    SSL_do_handshake(client.ssl());
    ERR_clear_error();
    hello = client.drain();
  }
  for (size_t at = 0; at < hello.size(); ++at) {
    SimulatedClock clock;
    SimulatedLoop loop(clock);
    auto [near, far] = MemoryStream::pair(loop);
    static const auto context = *TlsContext::server(server_options(), true);
    Recorder raw(std::move(near));
    Recorder stream(make_tls_stream(loop, std::move(far), context));
    std::string damaged = hello;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    raw.send(damaged);
    raw.stream->shutdown();
    clock.run_until_quiet();
    EXPECT_TRUE(stream.ended);
    EXPECT_FALSE(stream.opened);
    EXPECT_EQ(stream.why->code, Code::tls_failed);
  }
}

TEST(TlsPeer, TheErrorQueueOfOthersIsNoErrorOfOurs) {
  TlsPair pair;
  ERR_raise(ERR_LIB_USER, 1);
  pair.open();
  ERR_raise(ERR_LIB_USER, 2);
  pair.client.send("fine");
  pair.settle();
  EXPECT_EQ(pair.server.text, "fine");
  EXPECT_FALSE(pair.client.ended || pair.server.ended);
}

// A seed replays whole handshakes, down to the sizes of signatures.
TEST(TlsPeer, HandshakesRepeatWithTheSameRandomNumbers) {
  const TlsOptions client = client_options();
  const TlsOptions server = server_options();
  std::string first;
  for (int round = 0; round < 2; ++round) {
    const DeterministicRandom random(42);
    TlsPair pair(client, server);
    pair.client.send("hello");
    pair.settle();
    EXPECT_EQ(pair.server.text, "hello");
    if (round == 0)
      first = pair.client_sent + pair.server_sent;
    EXPECT_TRUE(first == pair.client_sent + pair.server_sent);
  }
}

}  // namespace
}  // namespace tulle
