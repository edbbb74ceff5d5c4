// What an open connection has no more use for: the certificates that its peer has sent.
//
// OpenSSL keeps them parsed for as long as the session lives, 4 to 5 KiB each with the key's curve.
// Who the peer is was decided and read while they were verified, and is kept apart from them.
#pragma once

struct ssl_st;

namespace tulle {

// Call it after a full handshake of a session that nobody else holds. False when memory is short:
// the connection must end then. What it leaves behind is nothing that another one could resume.
bool drop_peer_certificates(ssl_st& session);

}  // namespace tulle
