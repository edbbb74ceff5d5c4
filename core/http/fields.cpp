#include "core/http/fields.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/assert.hpp"

namespace tulle {
namespace {

constexpr size_t kNames = static_cast<size_t>(FieldId::count_);

// In the order of FieldId.
constexpr std::array<std::string_view, kNames> kFieldNames = {
    "",
    "accept",
    "accept-encoding",
    "authorization",
    "baggage",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "grpc-message",
    "grpc-status",
    "grpc-timeout",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "location",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "server",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "b3",
    "x-envoy-expected-rq-timeout-ms",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
    "tulle-error",
    "tulle-retried",
};
static_assert(!kFieldNames.back().empty());

constexpr size_t kLongest = [] {
  size_t longest = 0;
  for (std::string_view name : kFieldNames) longest = std::max(longest, name.size());
  return longest;
}();

// The known names sorted by length; a look-up compares the few that have the right one.
struct ByLength {
  std::array<FieldId, kNames> ids{};
  std::array<uint8_t, kLongest + 2> first{};  // ids[first[n]] .. ids[first[n + 1]] have n bytes
};

constexpr ByLength kByLength = [] {
  ByLength table;
  uint8_t next = 0;
  for (size_t length = 0; length <= kLongest; ++length) {
    table.first[length] = next;
    for (size_t i = 1; i < kNames; ++i) {
      if (kFieldNames[i].size() == length) table.ids[next++] = static_cast<FieldId>(i);
    }
  }
  table.first[kLongest + 1] = next;
  return table;
}();

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// A pooled message must not keep what one enormous head needed.
constexpr size_t kKeptBlob = 8 * 1024;
constexpr size_t kKeptEntries = 64;

}  // namespace

FieldId field_id(std::string_view lower_case_name) {
  const size_t size = lower_case_name.size();
  if (size == 0 || size > kLongest) return FieldId::unknown;
  const char* const wanted = lower_case_name.data();
  for (size_t i = kByLength.first[size]; i < kByLength.first[size + 1]; ++i) {
    const FieldId id = kByLength.ids[i];
    const char* name = kFieldNames[static_cast<size_t>(id)].data();
    // Most candidates differ in one of these, which is cheaper than a call.
    if (name[0] != wanted[0] || name[size - 1] != wanted[size - 1]) continue;
    if (std::memcmp(name, wanted, size) == 0) return id;
  }
  return FieldId::unknown;
}

std::string_view field_name(FieldId id) {
  ASSERT(id > FieldId::unknown && id < FieldId::count_);
  return kFieldNames[static_cast<size_t>(id)];
}

void Fields::add(std::string_view name, std::string_view value) {
  const size_t at = blob_.size();
  blob_.append(name);
  for (size_t i = at; i < blob_.size(); ++i) blob_[i] = lower(blob_[i]);
  const FieldId id = field_id(std::string_view(blob_).substr(at));
  if (id != FieldId::unknown) {
    blob_.resize(at);
    return add(id, value);
  }
  ASSERT(name.size() <= UINT16_MAX);
  const Entry entry{static_cast<uint32_t>(at), static_cast<uint32_t>(blob_.size()),
                    static_cast<uint16_t>(name.size()), id, static_cast<uint32_t>(value.size())};
  blob_.append(value);
  index_.push_back(entry);
  weight_ += name.size() + value.size() + 32;
}

void Fields::add(FieldId id, std::string_view value) {
  const size_t name_size = field_name(id).size();
  const Entry entry{0, static_cast<uint32_t>(blob_.size()), static_cast<uint16_t>(name_size), id,
                    static_cast<uint32_t>(value.size())};
  blob_.append(value);
  index_.push_back(entry);
  present_ |= bit(id);
  weight_ += name_size + value.size() + 32;
}

void Fields::set(FieldId id, std::string_view value) {
  remove(id);
  add(id, value);
}

void Fields::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

std::optional<std::string_view> Fields::get(FieldId id) const {
  if (!has(id)) return std::nullopt;
  for (const Entry& entry : index_) {
    if (entry.id == id) return std::string_view(blob_).substr(entry.value, entry.value_size);
  }
  return std::nullopt;
}

std::optional<std::string_view> Fields::get(std::string_view name) const {
  const FieldId id = field_id(name);
  if (id != FieldId::unknown) return get(id);
  for (const Field field : *this) {
    if (field.id == FieldId::unknown && field.name == name) return field.value;
  }
  return std::nullopt;
}

size_t Fields::count(FieldId id) const {
  if (!has(id)) return 0;
  return static_cast<size_t>(std::count_if(index_.begin(), index_.end(),
                                           [id](const Entry& entry) { return entry.id == id; }));
}

// What is removed stays in the blob until clear(): messages are short-lived.
void Fields::remove(FieldId id) {
  if (!has(id)) return;
  std::erase_if(index_, [this, id](const Entry& entry) {
    if (entry.id != id) return false;
    weight_ -= entry.name_size + entry.value_size + 32;
    return true;
  });
  present_ &= ~bit(id);
}

void Fields::remove(std::string_view name) {
  std::string lowered(name);
  for (char& c : lowered) c = lower(c);
  const FieldId id = field_id(lowered);
  if (id != FieldId::unknown) return remove(id);
  std::erase_if(index_, [&](const Entry& entry) {
    if (entry.id != FieldId::unknown) return false;
    if (std::string_view(blob_).substr(entry.name, entry.name_size) != lowered) return false;
    weight_ -= entry.name_size + entry.value_size + 32;
    return true;
  });
}

void Fields::clear() {
  if (blob_.capacity() > kKeptBlob) blob_ = {};
  if (index_.capacity() > kKeptEntries) index_ = {};
  blob_.clear();
  index_.clear();
  present_ = 0;
  weight_ = 0;
}

Fields::Field Fields::operator[](size_t i) const {
  const Entry& entry = index_[i];
  const std::string_view blob = blob_;
  const std::string_view name = entry.id == FieldId::unknown
                                    ? blob.substr(entry.name, entry.name_size)
                                    : kFieldNames[static_cast<size_t>(entry.id)];
  return {entry.id, name, blob.substr(entry.value, entry.value_size)};
}

}  // namespace tulle
