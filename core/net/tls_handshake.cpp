// The handshake of TlsStream and every way it can fail.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <cstring>

#include "core/net/loop.hpp"
#include "core/net/tls_session.hpp"
#include "core/net/tls_stream.hpp"
#include "core/net/tls_words.hpp"

namespace tulle {

void TlsStream::advance_handshake() {
  const bool greets = !context_->is_server() && session_ == nullptr;
  if (!greets && !wire_.show_whole_records())
    return;
  if (!loop_.take_handshake_step()) {
    // flush() wakes us in the write stage, that is for the next turn and behind earlier ones.
    step_deferred_ = true;
    flush_later();
    return;
  }
  if (!greets && !heard_) {
    heard_ = true;
    std::array<char, 16> start;
    if (looks_like_http(ByteView(start.data(), wire_.peek(start.data(), start.size())))) {
      const char* what = context_->is_server() ? "plain HTTP on a TLS port"
                                               : "peer answers in plain HTTP, not in TLS";
      return fail(Error{Code::tls_failed, context_->peer(), what});
    }
  }
  // Created here and not with the stream: connections that never speak cost no SSL.
  if (session_ == nullptr) {
    session_ = context_->open(wire_, verdict_);
    if (session_ == nullptr)
      return fail(Error{Code::internal, Origin::local, take_tls_failure("no memory for TLS")});
    account(kHandshakeCharge);
  }
  ERR_clear_error();
  const int outcome = SSL_do_handshake(session_.get());
  if (outcome == 1)
    return become_open();
  if (SSL_get_error(session_.get(), outcome) != SSL_ERROR_WANT_READ)
    fail(handshake_failure());
}

void TlsStream::become_open() {
  if (auto fault = fault_of_open_session())
    return fail(std::move(*fault));
  if (!drop_peer_certificates(*session_))
    return fail(Error{Code::internal, Origin::local, take_tls_failure("no memory for TLS")});
  account(kOpenCharge);
  phase_ = Phase::open;
  wire_.show_all();
  if (!plain_.empty() || output_ == Output::ending)
    flush_later();
  tell_open();
}

// OpenSSL has said yes. What it does not check, or what must hold even if it were mistaken.
std::optional<Error> TlsStream::fault_of_open_session() const {
  const SSL* session = session_.get();
  const bool verifies = (SSL_get_verify_mode(session) & SSL_VERIFY_PEER) != 0;
  const bool must_have = !context_->is_server() ||
                         (SSL_get_verify_mode(session) & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) != 0;
  if (verifies && must_have && verdict_.identity == nullptr) {
    return Error{Code::tls_failed, context_->peer(), "peer was not verified"};
  }
  if (SSL_get_verify_result(session) != X509_V_OK && verifies) {
    return Error{Code::tls_failed, context_->peer(), "peer's certificate was not accepted"};
  }
  if (!context_->is_server() && !context_->offers(alpn())) {
    return Error{Code::tls_failed, context_->peer(),
                 "peer chose an application protocol that was not offered"};
  }
  return std::nullopt;
}

Error TlsStream::handshake_failure() {
  const unsigned long first = ERR_peek_error();
  const bool is_alert =
      ERR_GET_LIB(first) == ERR_LIB_SSL && ERR_GET_REASON(first) > SSL_AD_REASON_OFFSET;
  // Our own verdict has the better words, unless it was the peer who ended it.
  if (!is_alert && verdict_.refusal.has_value()) {
    ERR_clear_error();
    return std::move(*verdict_.refusal);
  }
  return Error{Code::tls_failed, context_->peer(), take_tls_failure("TLS handshake failed")};
}

void TlsStream::fail(Error why) {
  phase_ = Phase::failed;
  plain_.clear();
  wire_.discard();
  if (!wire_.out.empty())
    flush_later();  // the alert
  note_end(std::move(why));
}

}  // namespace tulle
