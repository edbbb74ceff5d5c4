#include "core/net/tls_session.hpp"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "core/net/tls_certificate.hpp"
#include "tests/support/certificates.hpp"

namespace tulle {
namespace {

using namespace tulle::testing;

struct FreeSsl {
  void operator()(SSL* session) const { SSL_free(session); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// Two plain ends with certificates, each of which accepts any certificate.
class PlainPair {
 public:
  explicit PlainPair(int version, bool short_records = false) {
    static const TestCa ca;
    server_context_.reset(make_context(TLS_server_method(), ca));
    client_context_.reset(make_context(TLS_client_method(), ca));
    SSL_CTX_set_max_proto_version(client_context_.get(), version);
    server_.reset(SSL_new(server_context_.get()));
    client_.reset(SSL_new(client_context_.get()));
    BIO* near = nullptr;
    BIO* far = nullptr;
    BIO_new_bio_pair(&near, 1 << 17, &far, 1 << 17);
    SSL_set_bio(client_.get(), near, near);
    SSL_set_bio(server_.get(), far, far);
    SSL_set_connect_state(client_.get());
    SSL_set_accept_state(server_.get());
    if (short_records)
      SSL_set_tlsext_max_fragment_length(client_.get(), TLSEXT_max_fragment_length_512);
    for (int i = 0; i < 5; ++i) {
      SSL_do_handshake(client_.get());
      SSL_do_handshake(server_.get());
      ERR_clear_error();
    }
    EXPECT_TRUE(SSL_is_init_finished(client_.get()) && SSL_is_init_finished(server_.get()));
  }
  SSL& client() { return *client_; }
  SSL& server() { return *server_; }

 private:
  static SSL_CTX* make_context(const SSL_METHOD* method, const TestCa& ca) {
    SSL_CTX* context = SSL_CTX_new(method);
    const IssuedCertificate own = ca.issue_spiffe("spiffe://mesh.test/ns/default/sa/any");
    auto chain = parse_certificates(own.certificate_pem + ca.pem(), "certificate", "test");
    SSL_CTX_use_certificate(context, chain->front().get());
    for (size_t i = 1; i < chain->size(); ++i)
      SSL_CTX_add1_chain_cert(context, (*chain)[i].get());
    SSL_CTX_use_PrivateKey(context, parse_key(own.key_pem, "test")->get());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_CTX_set_cert_verify_callback(
        context, [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
    return context;
  }

  std::unique_ptr<SSL_CTX, FreeSsl> server_context_, client_context_;
  std::unique_ptr<SSL, FreeSsl> server_, client_;
};

std::string pass(SSL& from, SSL& to, const std::string& text) {
  char buffer[4096] = {};
  EXPECT_EQ(SSL_write(&from, text.data(), static_cast<int>(text.size())),
            static_cast<int>(text.size()));
  const int got = SSL_read(&to, buffer, sizeof(buffer));
  return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : std::string();
}

TEST(TlsSession, CertificatesOfThePeerAreDroppedAndTheConnectionGoesOn) {
  for (const int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    PlainPair pair(version);
    for (SSL* end : {&pair.client(), &pair.server()}) {
      ASSERT_NE(SSL_get0_peer_certificate(end), nullptr);
      ASSERT_GT(sk_X509_num(SSL_get_peer_cert_chain(end)), 0);
      const std::string cipher = SSL_get_cipher(end);
      ASSERT_TRUE(drop_peer_certificates(*end));
      EXPECT_EQ(SSL_get0_peer_certificate(end), nullptr);
      EXPECT_EQ(sk_X509_num(SSL_get_peer_cert_chain(end)), 0);
      EXPECT_EQ(SSL_version(end), version);
      EXPECT_EQ(SSL_get_cipher(end), cipher);
      EXPECT_EQ(SSL_get_verify_result(end), X509_V_OK);
      EXPECT_EQ(ERR_peek_error(), 0u);
    }
    // The first thing that the client reads are tickets, which start from the session.
    EXPECT_EQ(pass(pair.server(), pair.client(), "answer"), "answer");
    EXPECT_EQ(pass(pair.client(), pair.server(), "request"), "request");
    if (version == TLS1_3_VERSION) {
      EXPECT_EQ(SSL_key_update(&pair.client(), SSL_KEY_UPDATE_REQUESTED), 1);
      EXPECT_EQ(pass(pair.client(), pair.server(), "new key"), "new key");
      EXPECT_EQ(pass(pair.server(), pair.client(), "new key too"), "new key too");
    }
    SSL_shutdown(&pair.client());
    char byte = 0;
    EXPECT_LE(SSL_read(&pair.server(), &byte, 1), 0);
    EXPECT_NE(SSL_get_shutdown(&pair.server()) & SSL_RECEIVED_SHUTDOWN, 0);
    EXPECT_TRUE(drop_peer_certificates(pair.server())) << "there is nothing left to drop";
    ERR_clear_error();
  }
}

// What a session says about the length of records would be lost with the leaf.
TEST(TlsSession, APeerThatAskedForShortRecordsKeepsGettingThem) {
  PlainPair pair(TLS1_3_VERSION, true);
  ASSERT_TRUE(drop_peer_certificates(pair.server()));
  EXPECT_EQ(sk_X509_num(SSL_get_peer_cert_chain(&pair.server())), 0);
  const std::string text(2000, 'x');
  EXPECT_EQ(pass(pair.server(), pair.client(), text), text.substr(0, 512));
}

}  // namespace
}  // namespace tulle
