// ChainGateway: a listener with filter chains: finds out what each connection is, and hands it to
// the chain that it is for: HTTP to a Server, everything else to a relay.
//
// Owns the acceptor, the arrivals (connections that are still looked at), the relays and the HTTP
// chains. A chain that stays in the configuration keeps its connections; one that goes drains.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sidecar/accept/arrival.hpp"
#include "sidecar/accept/gateway.hpp"
#include "sidecar/accept/members.hpp"
#include "sidecar/tcp/relay.hpp"

namespace tulle::accept {

class ChainGateway final : public Gateway, private Task {
 public:
  ChainGateway(const GatewayPlace& place, std::shared_ptr<const config::ListenerConfig> config);
  ~ChainGateway() override;

  Result<void> listen(Network& network, const Address& at, bool reuse_port) override;
  void adopt(std::shared_ptr<const config::ListenerConfig> config) override;
  void remove() override;
  void drain() override;
  bool drained() const override { return connections() == 0; }
  size_t connections() const override;
  void hold_accepting(bool held) override;
  // Of HTTP only: what a relay holds is little, and nobody can tell which one is worth less.
  size_t shed(Sheds what, size_t bytes, Instant now) override;
  const config::ListenerConfig& config() const override { return *config_; }
  const Address& local_address() const override { return local_address_; }
  void set_owner(Task* owner) override { owner_ = owner; }

  // For arrivals.
  exchange::ExchangeHost& host() { return host_; }
  const std::shared_ptr<const config::ListenerConfig>& config_node() const { return config_; }
  // What a relay of this listener begins with.
  tcp::Assignment assignment(const Arrival& arrival) const;
  std::unique_ptr<tcp::Relay> make_relay(tcp::Assignment assignment, Task& owner);
  void serve(const config::FilterChain& chain, const Address& original_destination,
             std::unique_ptr<ByteStream> bytes);
  void keep(std::unique_ptr<tcp::Relay> relay);
  void over(Arrival& arrival);
  // The connection was closed without having reached anything.
  void refused(const Arrival& arrival, Error error);
  Task& waiter() { return *this; }

 private:
  struct NamedChain {
    std::string name;
    std::unique_ptr<HttpChain> chain;
  };
  void run() override;
  void take_arrivals();
  void update_accepting();
  void reap();
  void adopt_http_chains();

  exchange::ExchangeHost& host_;
  telemetry::TcpStats& tcp_stats_;
  const std::string node_id_;
  const uint32_t stat_slot_;      // for requests
  const uint32_t tcp_stat_slot_;
  std::shared_ptr<const config::ListenerConfig> config_;
  std::unique_ptr<Acceptor> acceptor_;
  std::vector<NamedChain> http_chains_;
  std::vector<std::unique_ptr<HttpChain>> removed_chains_;  // draining
  Members<tcp::Relay, tcp::RelayTag> relays_;
  Members<Arrival, ArrivalTag> arrivals_;                   // they may hold relays
  Address local_address_;
  Task* owner_ = nullptr;
  const size_t max_connections_;
  bool held_ = false;
  bool paused_ = false;
};

}  // namespace tulle::accept
