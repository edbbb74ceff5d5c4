// TlsWire: the ciphertext of one TLS stream on its way into and out of OpenSSL, in our own memory.
//
// Owns: bytes that have arrived and were not read yet, and records that were made and not handed
// on yet. Bytes of a running read callback are lent, and copied only when OpenSSL leaves some.
// During the handshake OpenSSL sees whole records only, so that a peer who drips bytes costs no
// handshake steps. The BIO over a wire makes no system call and never blocks.
#pragma once

#include "core/base/bytes.hpp"

struct bio_st;

namespace tulle {

class TlsWire {
 public:
  void lend(ByteView fresh);  // valid until keep_rest()
  void keep_rest();           // copies what OpenSSL did not take
  void keep(ByteView fresh) { held_.append(fresh); }
  void discard();  // forgets everything that has arrived
  size_t unread() const { return held_.size() + fresh_.size(); }

  // What OpenSSL may see: everything, or only what belongs to complete records. Held bytes only.
  void show_all() { showing_all_ = true; }
  bool show_whole_records();  // true when there is something to see

  size_t peek(char* to, size_t max) const { return held_.copy_to(to, max); }
  size_t read(char* to, size_t max);  // for the BIO; 0: nothing to see

  Bytes out;  // records for the inner stream

 private:
  bool peek_header(size_t offset, unsigned char (&header)[5]) const;

  Bytes held_;
  ByteView fresh_;
  size_t shown_ = 0;  // bytes of held_ that OpenSSL may read, unless showing_all_
  bool showing_all_ = false;
};

// A new BIO that reads from and writes to `wire`, which must outlive it.
bio_st* make_wire_bio(TlsWire& wire);

// Whether bytes that came instead of a TLS record begin an HTTP message in the clear.
bool looks_like_http(ByteView start);

}  // namespace tulle
