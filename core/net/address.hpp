// Address: an IPv4 or IPv6 socket address as a plain value, comparable and hashable.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

struct sockaddr;
struct sockaddr_storage;

namespace tulle {

class Address {
 public:
  Address() = default;  // "unset": family 0
  static Result<Address> parse(std::string_view ip, uint16_t port);   // numeric only; no look-up
  static Result<Address> parse(std::string_view ip_and_port);         // "127.0.0.1:80", "[::1]:80"
  static Address from(const sockaddr& raw);
  void to(sockaddr_storage& raw) const;

  bool is_set() const { return family_ != 0; }
  bool is_ipv6() const;
  bool is_loopback() const;
  uint16_t port() const { return port_; }
  Address with_port(uint16_t port) const;
  std::string ip() const;
  std::string to_string() const;

  friend bool operator==(const Address&, const Address&) = default;
  size_t hash() const;   // for tables; not stable across versions

 private:
  void unmap();

  std::array<uint8_t, 16> bytes_{};
  uint32_t scope_ = 0;
  uint16_t family_ = 0;
  uint16_t port_ = 0;
};

}  // namespace tulle
