#include "core/http/fields.hpp"

#include <algorithm>
#include <array>

#include "core/base/ascii.hpp"
#include "core/base/assert.hpp"

namespace tulle {
namespace {

constexpr size_t kNames = static_cast<size_t>(FieldId::count_);

}  // namespace

// In the order of FieldId.
constexpr std::string_view kFieldNames[kNames] = {
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
static_assert(!kFieldNames[kNames - 1].empty());

namespace {

// A table in which every known name has a place of its own: a look-up compares one of them.
constexpr size_t kPlaces = 256;

constexpr size_t place_of(std::string_view name, uint32_t seed) {
  const auto byte = [name](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(name[i])); };
  const size_t size = name.size();
  const uint32_t mixed = byte(0) << 24 ^ byte(size - 1) << 16 ^ byte(size / 2) << 8 ^
                         static_cast<uint32_t>(size);
  return (mixed * seed) >> 24;
}

struct Places {
  uint32_t seed = 1;
  std::array<FieldId, kPlaces> ids{};

  constexpr bool fill() {
    ids = {};
    for (size_t i = 1; i < kNames; ++i) {
      FieldId& id = ids[place_of(kFieldNames[i], seed)];
      if (id != FieldId::unknown) return false;
      id = static_cast<FieldId>(i);
    }
    return true;
  }
};

constexpr Places kByPlace = [] {
  Places places;
  while (!places.fill()) places.seed += 0x9e3779b8;  // even, so that the seed stays odd
  return places;
}();

// A pooled message must not keep what one enormous head needed.
constexpr size_t kKeptBlob = 8 * 1024;
constexpr size_t kKeptEntries = 64;

}  // namespace

FieldId field_id(std::string_view lower_case_name) {
  if (lower_case_name.empty()) return FieldId::unknown;
  const FieldId id = kByPlace.ids[place_of(lower_case_name, kByPlace.seed)];
  return kFieldNames[static_cast<size_t>(id)] == lower_case_name ? id : FieldId::unknown;
}

std::string_view field_name(FieldId id) {
  ASSERT(id > FieldId::unknown && id < FieldId::count_);
  return kFieldNames[static_cast<size_t>(id)];
}

void Fields::add(std::string_view name, std::string_view value) {
  const size_t at = blob_.size();
  blob_.append(name);
  lower_copy(blob_.data() + at, blob_.data() + at, name.size());
  const FieldId id = field_id(std::string_view(blob_).substr(at));
  if (id != FieldId::unknown) {
    blob_.resize(at);
    return add(id, value);
  }
  add_entry(at, name.size(), value);
}

void Fields::add_other(std::string_view lower_case_name, std::string_view value) {
  const size_t at = blob_.size();
  blob_.append(lower_case_name);
  add_entry(at, lower_case_name.size(), value);
}

// The name is in the blob.
void Fields::add_entry(size_t name, size_t name_size, std::string_view value) {
  ASSERT(name_size <= UINT16_MAX);
  const Entry entry{static_cast<uint32_t>(name), static_cast<uint32_t>(blob_.size()),
                    static_cast<uint16_t>(name_size), FieldId::unknown,
                    static_cast<uint32_t>(value.size())};
  blob_.append(value);
  index_.push_back(entry);
  weight_ += name_size + value.size() + 32;
}

void Fields::add(FieldId id, std::string_view value) {
  const size_t name_size = field_name(id).size();
  const size_t at = blob_.size();
  blob_.append(value);
  Entry& entry = index_.emplace_back();
  entry.value = static_cast<uint32_t>(at);
  entry.name_size = static_cast<uint16_t>(name_size);
  entry.id = id;
  entry.value_size = static_cast<uint32_t>(value.size());
  present_ |= bit(id);
  weight_ += name_size + value.size() + 32;
}

void Fields::add(FieldId id, std::string_view value, std::string_view rest) {
  add(id, value);
  blob_.append(rest);
  index_.back().value_size += static_cast<uint32_t>(rest.size());
  weight_ += rest.size();
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
  lower_copy(lowered.data(), lowered.data(), lowered.size());
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

}  // namespace tulle
