// DestinationName: an authority in the one spelling that destinations are known by.
//
// "Kitchen.:8080" is "kitchen:8080", "kitchen" over http is "kitchen:80": lower case, no trailing
// dot, always a port. Made per request, so it lives in a buffer of its own and allocates nothing.
// Empty: no name of a destination can be made of it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace tulle::routing {

class DestinationName {
 public:
  DestinationName(std::string_view authority, std::string_view scheme);
  DestinationName(const DestinationName&) = delete;
  DestinationName& operator=(const DestinationName&) = delete;

  std::string_view text() const { return {buffer_.data(), size_}; }
  bool empty() const { return size_ == 0; }

 private:
  // A DNS name of 255 characters or a bracketed address, a colon, a port.
  std::array<char, 264> buffer_;
  uint16_t size_ = 0;
};

struct HostAndPort {
  std::string_view host;  // an IPv6 address without its brackets
  uint16_t port = 0;
};
// Whether `name` is spelled as DestinationName would spell it; its parts. Port 0: it is not.
HostAndPort parse_destination(std::string_view name);

}  // namespace tulle::routing
