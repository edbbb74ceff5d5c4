// Http2SpeltNames: which fields, new in every message, a connection's compression table knows by name.
//
// The values of such fields stay out of the table (RFC 7541), where they would push out what repeats.
// Their names are another matter: once one is there, every later field of that name is a number and
// a value. So the first field of each name is indexed with its value. nghttp2 does not say when that
// falls out of the table again, only how full the table is: while no more than half of it is used,
// nothing has fallen out, unless an entry was larger than the other half. Beyond that a name is
// indexed again with every 64th field; more often, this would push out what repeats as well.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/assert.hpp"
#include "core/http/fields.hpp"

namespace tulle {

class Http2SpeltNames {
 public:
  static constexpr uint8_t kPeriod = 64;
  // A value that would fill much of the table is left out of it; the next one may be shorter.
  static constexpr size_t kLongestValue = 128;

  // Whether the field, which is one of those in slot_of(), is to be indexed. `crowded()`: more than
  // half of the table is used; rarely asked.
  template <class Crowded>
  bool due(const Fields::Field& field, Crowded crowded) {
    uint8_t& left = left_[slot_of(field.id)];
    if (left > 1) {
      --left;
      return false;
    }
    if (field.value.size() > kLongestValue) return false;
    const bool first = left == 0;
    left = kPeriod;
    return first || crowded();
  }

  // A head was not sent after all, and it may have been the one.
  void forget() { left_ = {}; }

 private:
  static size_t slot_of(FieldId id) {
    switch (id) {
      case FieldId::x_request_id: return 0;
      case FieldId::traceparent: return 1;
      case FieldId::x_b3_traceid: return 2;
      case FieldId::x_b3_spanid: return 3;
      default: UNREACHABLE();
    }
  }

  std::array<uint8_t, 4> left_{};  // fields until the name is due; 0: it never was
};

}  // namespace tulle
