// is_framing_field(): fields that say something of one message's framing, or of one connection.
//
// Whoever writes a message makes them from the model, never from what another connection said. That
// is also why HTTP/2 has none of them (RFC 9113, 8.2.2: `host` travels as :authority), and why none may
// be a trailer.
#pragma once

#include "core/http/fields.hpp"

namespace tulle {

constexpr bool is_framing_field(FieldId id) {
  switch (id) {
    case FieldId::connection:
    case FieldId::content_length:
    case FieldId::host:
    case FieldId::http2_settings:
    case FieldId::keep_alive:
    case FieldId::proxy_connection:
    case FieldId::transfer_encoding:
    case FieldId::upgrade: return true;
    default: return false;
  }
}

}  // namespace tulle
