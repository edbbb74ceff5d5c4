#include "core/net/tls_bio.hpp"

#include <openssl/bio.h>

#include <algorithm>
#include <cstring>

namespace tulle {

namespace {

constexpr size_t kRecordHeader = 5;
constexpr size_t kLargestRecord = 16384 + 2048;  // TLS 1.2 allows this much expansion

int wire_read(BIO* bio, char* to, size_t max, size_t* done) {
  auto* wire = static_cast<TlsWire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *done = wire->read(to, max);
  if (*done > 0)
    return 1;
  // Never an end of file: the stream knows what its end means, OpenSSL need not.
  BIO_set_retry_read(bio);
  return -1;
}

int wire_write(BIO* bio, const char* from, size_t size, size_t* done) {
  auto* wire = static_cast<TlsWire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  wire->out.append(ByteView(from, size));
  *done = size;
  return 1;
}

long wire_control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH || command == BIO_CTRL_PUSH || command == BIO_CTRL_POP ? 1 : 0;
}

int wire_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

const BIO_METHOD* wire_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tulle wire");
    ASSERT(made != nullptr);
    BIO_meth_set_read_ex(made, wire_read);
    BIO_meth_set_write_ex(made, wire_write);
    BIO_meth_set_ctrl(made, wire_control);
    BIO_meth_set_create(made, wire_create);
    return made;
  }();
  return method;
}

}  // namespace

void TlsWire::lend(ByteView fresh) {
  ASSERT(fresh_.empty());
  fresh_ = fresh;
}

void TlsWire::keep_rest() {
  held_.append(fresh_);
  fresh_ = {};
}

void TlsWire::discard() {
  held_.clear();
  fresh_ = {};
  shown_ = 0;
}

bool TlsWire::peek_header(size_t offset, unsigned char (&header)[kRecordHeader]) const {
  size_t got = 0;
  for (size_t i = 0; i < held_.slice_count() && got < kRecordHeader; ++i) {
    ByteView slice = held_.slice(i);
    if (offset >= slice.size()) {
      offset -= slice.size();
      continue;
    }
    const size_t count = std::min(slice.size() - offset, kRecordHeader - got);
    std::memcpy(header + got, slice.data() + offset, count);
    got += count;
    offset = 0;
  }
  return got == kRecordHeader;
}

bool TlsWire::show_whole_records() {
  unsigned char header[kRecordHeader];
  while (peek_header(shown_, header)) {
    const size_t length = static_cast<size_t>(header[3]) << 8 | header[4];
    const bool is_record = header[0] >= 20 && header[0] <= 23 && length <= kLargestRecord;
    // OpenSSL has the right words for garbage, so it sees all of it.
    const size_t end = is_record ? shown_ + kRecordHeader + length : held_.size();
    if (end > held_.size())
      break;
    shown_ = end;
  }
  return shown_ > 0;
}

size_t TlsWire::read(char* to, size_t max) {
  if (held_.empty()) {
    const size_t count = std::min(max, fresh_.size());
    if (count > 0)
      std::memcpy(to, fresh_.data(), count);
    fresh_.remove_prefix(count);
    return count;
  }
  if (!showing_all_)
    max = std::min(max, shown_);
  const size_t count = held_.copy_to(to, max);
  held_.drop(count);
  if (!showing_all_)
    shown_ -= count;
  return count;
}

bio_st* make_wire_bio(TlsWire& wire) {
  BIO* bio = BIO_new(wire_method());
  ASSERT(bio != nullptr);
  BIO_set_data(bio, &wire);
  return bio;
}

bool looks_like_http(ByteView start) {
  if (start.starts_with("HTTP/") || start.starts_with("PRI * HTTP/2"))
    return true;
  const size_t space = start.find(' ');
  if (space == ByteView::npos || space < 3 || space > 12)
    return false;
  return std::all_of(start.begin(), start.begin() + static_cast<ptrdiff_t>(space),
                     [](char c) { return c >= 'A' && c <= 'Z'; });
}

}  // namespace tulle
