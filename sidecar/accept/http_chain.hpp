// HttpChain: what serves the HTTP connections of a listener, or of one of its filter chains.
//
// Owns the Server (and through it connections, streams and exchanges). adopt() swaps the
// configuration for requests that begin from now on; connections stay. remove() drains.
#pragma once

#include <memory>
#include <string>

#include "core/http/server.hpp"
#include "sidecar/exchange/exchange_host.hpp"

namespace tulle::accept {

class HttpChain final : public Service {
 public:
  HttpChain(exchange::ExchangeHost& host, std::shared_ptr<const config::ListenerConfig> config,
            std::string_view node_id, uint32_t stat_slot, size_t max_connections);

  void adopt(std::shared_ptr<const config::ListenerConfig> config);
  void remove();
  const std::shared_ptr<const config::ListenerConfig>& config() const { return config_; }
  Server& server() { return server_; }
  const Server& server() const { return server_; }

  std::unique_ptr<Task> serve(StreamRef stream) override;
  void refused(const Refused& what, const Connection& connection) override;

 private:
  exchange::ExchangeHost& host_;
  // Also keeps what exchanges of a removed listener look at.
  std::shared_ptr<const config::ListenerConfig> config_;
  std::string hop_;
  uint32_t stat_slot_;
  bool removed_ = false;
  Server server_;
};

// True when what serves `a` cannot serve `b`: it speaks another protocol.
bool speaks_otherwise(const config::ListenerConfig& a, const config::ListenerConfig& b);

}  // namespace tulle::accept
