// Fields: header or trailer fields of one message. One blob, one index, integer ids for known names.
//
// Names are lower case (add() lowers). Order and duplicates are kept. Views returned here stay
// valid until the next change of the same Fields. clear() keeps the capacity, so a pooled message
// allocates nothing in the steady state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/memory_budget.hpp"

namespace tulle {

// Names the code asks for by id. The order is that of the table in fields.cpp.
enum class FieldId : uint8_t {
  unknown,
  accept,
  accept_encoding,
  authorization,
  baggage,
  connection,
  content_encoding,
  content_length,
  content_type,
  cookie,
  date,
  expect,
  forwarded,
  grpc_message,
  grpc_status,
  grpc_timeout,
  host,
  http2_settings,
  idempotency_key,
  keep_alive,
  location,
  proxy_authenticate,
  proxy_authorization,
  proxy_connection,
  server,
  te,
  traceparent,
  tracestate,
  trailer,
  transfer_encoding,
  upgrade,
  user_agent,
  via,
  x_b3_traceid,
  x_b3_spanid,
  x_b3_sampled,
  b3,
  x_envoy_expected_rq_timeout_ms,
  x_forwarded_client_cert,
  x_forwarded_for,
  x_forwarded_host,
  x_forwarded_proto,
  x_request_id,
  tulle_error,
  tulle_retried,
  count_,
};

FieldId field_id(std::string_view lower_case_name);
std::string_view field_name(FieldId id);  // not for unknown

// Text of a head, which a peer decides the size of.
using MeteredText =
    std::basic_string<char, std::char_traits<char>, MeteredAllocator<char, MemoryUse::streams>>;

class Fields {
 public:
  struct Field {
    FieldId id;
    std::string_view name;
    std::string_view value;
  };

  void add(std::string_view name, std::string_view value);
  void add(FieldId id, std::string_view value);       // id != unknown
  void set(FieldId id, std::string_view value);       // removes others of that name, then adds
  void set(std::string_view name, std::string_view value);
  std::optional<std::string_view> get(FieldId id) const;              // the first
  std::optional<std::string_view> get(std::string_view name) const;   // name in lower case
  bool has(FieldId id) const { return (present_ & bit(id)) != 0; }
  size_t count(FieldId id) const;
  void remove(FieldId id);
  void remove(std::string_view name);
  void clear();

  size_t size() const { return index_.size(); }
  bool empty() const { return index_.empty(); }
  Field operator[](size_t i) const;
  // Name and value bytes plus 32 per field (RFC 9113, 6.5.2): what limits count.
  size_t weight() const { return weight_; }

  class Iterator {
   public:
    Iterator(const Fields& fields, size_t i) : fields_(fields), i_(i) {}
    Field operator*() const { return fields_[i_]; }
    Iterator& operator++() {
      ++i_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return i_ != other.i_; }

   private:
    const Fields& fields_;
    size_t i_;
  };
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, size()}; }

 private:
  struct Entry {
    uint32_t name;        // offset in blob_; known names have none
    uint32_t value;
    uint16_t name_size;
    FieldId id;
    uint32_t value_size;
  };
  static uint64_t bit(FieldId id) { return uint64_t{1} << static_cast<unsigned>(id); }
  static_assert(static_cast<unsigned>(FieldId::count_) <= 64);

  MeteredText blob_;
  std::vector<Entry, MeteredAllocator<Entry, MemoryUse::streams>> index_;
  uint64_t present_ = 0;   // which known names occur
  size_t weight_ = 0;
};

}  // namespace tulle
