// Http2FreshFields: how to say the fields that are new in nearly every message.
//
// In the compression table (RFC 7541) their values would push out what repeats, and to put them there
// costs more than to send them. So they stay out, unless a value is that of the last field of the
// name: a time that is left may be the same in every request. Names are another matter: once one is in
// the table, every later field of it is a number and a value. So the first of each name is put there.
//
// nghttp2 does not say when that falls out again, only how full the table is: while no more than half
// of it is used, nothing has fallen out, unless an entry was larger than the other half. Beyond that
// every 64th field is put there; more often, this would push out what repeats as well.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/http/fields.hpp"

namespace tulle {

class Http2FreshFields {
 public:
  static constexpr uint8_t kPeriod = 64;
  // A value that would fill much of the table is not put there for its name; the next one may be
  // shorter.
  static constexpr size_t kLongestValue = 256;

  // Whether the field is to be put in the table. `crowded()`: more than half of that is used; rarely
  // asked.
  template <class Crowded>
  bool indexed(const Fields::Field& field, Crowded crowded) {
    Name& name = names_[slot_of(field.id)];
    const uint16_t print = print_of(field.value);
    if (std::exchange(name.last, print) == print) return true;
    if (name.left > 1) {
      --name.left;
      return false;
    }
    if (field.value.size() > kLongestValue) return false;
    const bool first = name.left == 0;
    name.left = kPeriod;
    return first || crowded();
  }

  // A head was not sent after all, and it may have been the one.
  void forget() { names_ = {}; }

  static constexpr bool covers(FieldId id) { return slot_of(id) < kSlots; }

 private:
  struct Name {
    uint16_t last = 0;  // of the last value
    uint8_t left = 0;   // fields until the name is put there again; 0: it never was
  };
  static constexpr size_t kSlots = 9;

  static constexpr size_t slot_of(FieldId id) {
    switch (id) {
      case FieldId::x_request_id: return 0;
      case FieldId::traceparent: return 1;
      case FieldId::tracestate: return 2;
      case FieldId::baggage: return 3;
      case FieldId::b3: return 4;
      case FieldId::x_b3_traceid: return 5;
      case FieldId::x_b3_spanid: return 6;
      case FieldId::grpc_timeout: return 7;
      case FieldId::x_envoy_expected_rq_timeout_ms: return 8;
      default: return kSlots;
    }
  }

  // Two values may look the same for once: then one is put there for nothing.
  static uint16_t print_of(std::string_view value) {
    uint64_t print = value.size();
    const auto mix = [&print](uint64_t word) { print = (print ^ word) * 0x9e3779b97f4a7c15; };
    for (; value.size() > 8; value.remove_prefix(8)) {
      uint64_t word;
      std::memcpy(&word, value.data(), 8);
      mix(word);
    }
    uint64_t word = 0;
    for (const char c : value) word = word << 8 | static_cast<uint8_t>(c);
    mix(word);
    return static_cast<uint16_t>(print >> 48);
  }

  std::array<Name, kSlots> names_{};
};

}  // namespace tulle
