#include "core/net/address.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace tulle {

namespace {

Error bad_address(std::string_view text) {
  return {Code::invalid_config, Origin::local,
          "'" + std::string(text) + "' is not a numeric address such as 10.0.0.1:80 or [::1]:80"};
}

bool parse_port(std::string_view text, uint16_t& port) {
  if (text.empty() || text[0] == '+' || text.size() > 5) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size();
}

// Logs and spans name an address per request; inet_ntop goes through a printf.
std::string ipv4_text(const uint8_t* bytes) {
  char text[16];
  char* at = text;
  for (int i = 0; i < 4; ++i) {
    if (i > 0) *at++ = '.';
    at = std::to_chars(at, text + sizeof(text), bytes[i]).ptr;
  }
  return {text, at};
}

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

Result<Address> Address::parse(std::string_view ip, uint16_t port) {
  Address address;
  address.port_ = port;
  std::string name(ip);
  if (inet_pton(AF_INET, name.c_str(), address.bytes_.data()) == 1) {
    address.family_ = AF_INET;
    return address;
  }
  if (const size_t percent = name.find('%'); percent != std::string::npos) {
    address.scope_ = if_nametoindex(name.c_str() + percent + 1);
    if (address.scope_ == 0) return bad_address(ip);
    name.resize(percent);
  }
  if (inet_pton(AF_INET6, name.c_str(), address.bytes_.data()) != 1) return bad_address(ip);
  address.family_ = AF_INET6;
  address.unmap();
  return address;
}

Result<Address> Address::parse(std::string_view ip_and_port) {
  const size_t colon = ip_and_port.rfind(':');
  uint16_t port = 0;
  if (colon == std::string_view::npos || !parse_port(ip_and_port.substr(colon + 1), port)) {
    return bad_address(ip_and_port);
  }
  std::string_view ip = ip_and_port.substr(0, colon);
  const bool bracketed = ip.size() >= 2 && ip.front() == '[' && ip.back() == ']';
  if (bracketed) ip = ip.substr(1, ip.size() - 2);
  // "::1:80" would be ambiguous, and "[127.0.0.1]:80" is nothing.
  if (bracketed != (ip.find(':') != std::string_view::npos)) return bad_address(ip_and_port);
  auto parsed = parse(ip, port);
  if (!parsed) return bad_address(ip_and_port);
  return parsed;
}

// A socket that serves both families reports IPv4 peers as ::ffff:a.b.c.d. They are IPv4 addresses
// to everybody above: rules, logs and headers must not see two spellings of one peer.
void Address::unmap() {
  if (family_ != AF_INET6) return;
  if (!std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes_.begin())) return;
  std::copy_n(bytes_.begin() + kMappedPrefix.size(), 4, bytes_.begin());
  std::fill(bytes_.begin() + 4, bytes_.end(), uint8_t{0});
  family_ = AF_INET;
  scope_ = 0;
}

Address Address::from(const sockaddr& raw) {
  Address address;
  if (raw.sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &raw, sizeof(in));
    address.family_ = AF_INET;
    address.port_ = ntohs(in.sin_port);
    std::memcpy(address.bytes_.data(), &in.sin_addr, 4);
  } else if (raw.sa_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, &raw, sizeof(in));
    address.port_ = ntohs(in.sin6_port);
    address.family_ = AF_INET6;
    address.scope_ = in.sin6_scope_id;
    std::memcpy(address.bytes_.data(), in.sin6_addr.s6_addr, 16);
    address.unmap();
  }
  return address;
}

void Address::to(sockaddr_storage& raw) const {
  std::memset(&raw, 0, sizeof(raw));
  if (family_ == AF_INET) {
    auto& in = reinterpret_cast<sockaddr_in&>(raw);
    in.sin_family = AF_INET;
    in.sin_port = htons(port_);
    std::memcpy(&in.sin_addr, bytes_.data(), 4);
  } else if (family_ == AF_INET6) {
    auto& in = reinterpret_cast<sockaddr_in6&>(raw);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port_);
    in.sin6_scope_id = scope_;
    std::memcpy(in.sin6_addr.s6_addr, bytes_.data(), 16);
  }
}

bool Address::is_ipv6() const { return family_ == AF_INET6; }

bool Address::is_loopback() const {
  if (family_ == AF_INET) return bytes_[0] == 127;
  if (family_ != AF_INET6) return false;
  constexpr std::array<uint8_t, 16> kLoopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return bytes_ == kLoopback;
}

Address Address::with_port(uint16_t port) const {
  Address other = *this;
  other.port_ = port;
  return other;
}

std::string Address::ip() const {
  if (family_ == 0) return "unset";
  if (family_ == AF_INET) return ipv4_text(bytes_.data());
  char text[INET6_ADDRSTRLEN];
  inet_ntop(family_, bytes_.data(), text, sizeof(text));
  std::string out = text;
  char name[IF_NAMESIZE];
  if (scope_ != 0 && if_indextoname(scope_, name) != nullptr) out += std::string("%") + name;
  return out;
}

std::string Address::to_string() const {
  if (family_ == 0) return "unset";
  const std::string port = ":" + std::to_string(port_);
  return is_ipv6() ? "[" + ip() + "]" + port : ip() + port;
}

// Multiply and fold: ports and the last byte differ most, and must reach all bits.
size_t Address::hash() const {
  uint64_t low, high;
  std::memcpy(&low, bytes_.data(), 8);
  std::memcpy(&high, bytes_.data() + 8, 8);
  const uint64_t rest = uint64_t{port_} << 48 | uint64_t{scope_} << 16 | family_;
  uint64_t h = low ^ (high * 0x9e3779b97f4a7c15) ^ rest;
  h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93;
  h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93;
  return h ^ (h >> 32);
}

}  // namespace tulle
