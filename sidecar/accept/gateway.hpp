// Gateway: one configured listener in one worker: its server, and the exchanges it begins.
//
// Owns the Server (and through it connections, streams and exchanges). adopt() swaps the
// configuration for requests that begin from now on; connections stay. remove() drains.
#pragma once

#include <memory>
#include <string>

#include "core/http/server.hpp"
#include "sidecar/exchange/exchange_host.hpp"

namespace tulle::accept {

class Gateway final : public Service {
 public:
  Gateway(exchange::ExchangeHost& host, std::shared_ptr<const config::ListenerConfig> config,
          std::string_view node_id, uint32_t stat_slot, size_t max_connections);

  Result<void> listen(Network& network, const Address& at, bool reuse_port);
  void adopt(std::shared_ptr<const config::ListenerConfig> config);
  void remove();                  // no longer configured: refuse new requests, drain
  void drain() { server_.drain(); }
  bool drained() const { return server_.drained(); }
  size_t connections() const { return server_.connections(); }
  const config::ListenerConfig& config() const { return *config_; }
  const std::shared_ptr<const config::ListenerConfig>& config_node() const { return config_; }
  Server& server() { return server_; }

  std::unique_ptr<Task> serve(StreamRef stream) override;
  void refused(const Refused& what, const Connection& connection) override;

 private:
  static Server::Options options_of(const config::ListenerConfig& config, size_t max_connections);

  exchange::ExchangeHost& host_;
  // Also keeps what exchanges of a removed listener look at.
  std::shared_ptr<const config::ListenerConfig> config_;
  std::string hop_;
  uint32_t stat_slot_;
  bool removed_ = false;
  Server server_;
};

// True when the listening socket and protocol of `a` cannot serve `b`: a new gateway is needed.
bool needs_new_socket(const config::ListenerConfig& a, const config::ListenerConfig& b);

}  // namespace tulle::accept
