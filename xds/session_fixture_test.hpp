// Resources for tests: real messages with a name, and a content that makes them differ.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "xds/server_session.hpp"

namespace tulle::xds::testing {

inline void append_string(std::string& out, int field, std::string_view value) {
  out.push_back(static_cast<char>(field << 3 | 2));
  for (size_t size = value.size();; size >>= 7) {
    if (size < 0x80) {
      out.push_back(static_cast<char>(size));
      break;
    }
    out.push_back(static_cast<char>(size | 0x80));
  }
  out.append(value);
}

// In every type the name is field 1. The content stands in a field that nobody knows.
inline std::shared_ptr<const Resource> named_resource(ResourceType type, const std::string& name,
                                                      const std::string& content) {
  std::string bytes;
  append_string(bytes, 1, name);
  bytes += "\xfa\x3f";  // field 1023, length-delimited
  bytes.push_back(static_cast<char>(content.size()));
  bytes += content;
  return make_resource(type, name, bytes);
}

inline Offer offer_of(ResourceType type, const std::vector<std::string>& names,
                      const std::string& content) {
  Offer offer;
  for (const std::string& name : names) offer.resources[name] = named_resource(type, name, content);
  return offer;
}

}  // namespace tulle::xds::testing
