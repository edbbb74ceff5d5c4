#include "cli/up/free_ports.hpp"

#include <random>

#include "core/net/network.hpp"

namespace tulle::cli {
namespace {

constexpr unsigned kFirst = 20000;
constexpr unsigned kCount = 10000;

}  // namespace

Result<std::vector<uint16_t>> free_ports(size_t count) {
  std::vector<uint16_t> ports;
  std::vector<Address> claimed;
  unsigned next = std::random_device()() % kCount;
  for (unsigned tried = 0; tried < kCount && ports.size() < count; ++tried) {
    const auto port = static_cast<uint16_t>(kFirst + (next + tried) % kCount);
    Address at = Address::parse("127.0.0.1", port).value();
    if (!claim_port(at)) continue;
    claimed.push_back(at);
    ports.push_back(port);
  }
  // Held until all are found, so that none is found twice; then they are for the programs.
  for (const Address& at : claimed) release_port(at);
  if (ports.size() == count) return ports;
  return Error{Code::address_in_use, Origin::local,
               "only " + std::to_string(ports.size()) + " of " + std::to_string(count) +
                   " ports from " + std::to_string(kFirst) + " to " +
                   std::to_string(kFirst + kCount - 1) + " are free"};
}

}  // namespace tulle::cli
