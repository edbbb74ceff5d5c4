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
extern const std::string_view kFieldNames[static_cast<size_t>(FieldId::count_)];  // by id

// Text of a head, which a peer decides the size of.
using MeteredText =
    std::basic_string<char, std::char_traits<char>, MeteredAllocator<char, MemoryUse::streams>>;

class Fields {
  struct Entry {
    uint32_t name;        // offset in blob_; known names have none
    uint32_t value;
    uint16_t name_size;
    FieldId id;
    uint32_t value_size;
  };

 public:
  struct Field {
    FieldId id;
    std::string_view name;
    std::string_view value;
  };

  void add(std::string_view name, std::string_view value);
  void add(FieldId id, std::string_view value);       // id != unknown
  // A value in two pieces; `rest` is none of these fields.
  void add(FieldId id, std::string_view value, std::string_view rest);
  // A name that is in lower case, and that field_id() does not know.
  void add_other(std::string_view lower_case_name, std::string_view value);
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
  Field operator[](size_t i) const { return field(index_[i], blob_.data()); }
  // Name and value bytes plus 32 per field (RFC 9113, 6.5.2): what limits count.
  size_t weight() const { return weight_; }

  class Iterator {
   public:
    Field operator*() const { return field(*at_, text_); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    friend class Fields;
    Iterator(const Entry* at, const char* text) : at_(at), text_(text) {}
    const Entry* at_;
    const char* text_;
  };
  Iterator begin() const { return {index_.data(), blob_.data()}; }
  Iterator end() const { return {index_.data() + index_.size(), blob_.data()}; }

 private:
  static Field field(const Entry& entry, const char* text) {
    const bool known = entry.id != FieldId::unknown;
    return {entry.id,
            known ? kFieldNames[static_cast<size_t>(entry.id)]
                  : std::string_view(text + entry.name, entry.name_size),
            {text + entry.value, entry.value_size}};
  }
  void add_entry(size_t name, size_t name_size, std::string_view value);
  static uint64_t bit(FieldId id) { return uint64_t{1} << static_cast<unsigned>(id); }
  static_assert(static_cast<unsigned>(FieldId::count_) <= 64);

  MeteredText blob_;
  std::vector<Entry, MeteredAllocator<Entry, MemoryUse::streams>> index_;
  uint64_t present_ = 0;   // which known names occur
  size_t weight_ = 0;
};

}  // namespace tulle
