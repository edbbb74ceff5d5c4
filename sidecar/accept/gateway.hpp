// Gateway: one configured listener in one worker: its socket and all that came from it.
//
// Two exist: HttpGateway, of which every connection is HTTP and goes straight to a Server, and
// ChainGateway, which chooses a filter chain for each connection. adopt() swaps the configuration
// for what begins from now on; connections stay. remove() drains.
#pragma once

#include <memory>
#include <string>

#include "core/net/network.hpp"
#include "sidecar/accept/http_chain.hpp"
#include "sidecar/telemetry/tcp_stats.hpp"

namespace tulle::accept {

class Gateway {
 public:
  virtual ~Gateway() = default;
  virtual Result<void> listen(Network& network, const Address& at, bool reuse_port) = 0;
  virtual void adopt(std::shared_ptr<const config::ListenerConfig> config) = 0;
  virtual void remove() = 0;                // no longer configured: refuse what is new, drain
  virtual void drain() = 0;
  virtual bool drained() const = 0;
  virtual size_t connections() const = 0;
  virtual void hold_accepting(bool held) = 0;  // while memory is short
  // Until about so many bytes will come back. Returns how many will.
  virtual size_t shed(Sheds what, size_t bytes, Instant now) = 0;
  virtual const config::ListenerConfig& config() const = 0;
  virtual const Address& local_address() const = 0;
  virtual void set_owner(Task* owner) = 0;  // woken when the number of connections changes
};

// What a gateway is given of its worker.
struct GatewayPlace {
  exchange::ExchangeHost& host;
  telemetry::TcpStats& tcp_stats;
  std::string_view node_id;
  uint32_t stat_slot = 0;                   // of the listener, for requests
  size_t max_connections = 10'000;
};
std::unique_ptr<Gateway> make_gateway(const GatewayPlace& place,
                                      std::shared_ptr<const config::ListenerConfig> config);

// True when the listening socket and protocol of `a` cannot serve `b`: a new gateway is needed.
bool needs_new_socket(const config::ListenerConfig& a, const config::ListenerConfig& b);

}  // namespace tulle::accept
