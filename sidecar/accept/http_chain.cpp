#include "sidecar/accept/http_chain.hpp"

#include "sidecar/exchange/exchange.hpp"

namespace tulle::accept {
namespace {

Protocol protocol_of(config::HttpOptions::Codec codec) {
  switch (codec) {
    case config::HttpOptions::Codec::automatic: return Protocol::negotiated;
    case config::HttpOptions::Codec::http1: return Protocol::http1;
    case config::HttpOptions::Codec::http2: return Protocol::http2;
  }
  UNREACHABLE();
}

std::string hop_of(const config::ListenerConfig& config, std::string_view node_id) {
  const bool inbound = config.direction == config::Direction::inbound;
  return std::string(inbound ? "inbound@" : "outbound@").append(node_id);
}

Server::Options options_of(const config::ListenerConfig& config, size_t max_connections) {
  Server::Options options;
  options.max_connections = max_connections;
  options.protocol = protocol_of(config.http.codec);
  options.limits = config.http.limits;
  options.tls = config.tls;
  options.tls_handshake_timeout = config.tls_handshake_timeout;
  return options;
}

}  // namespace

HttpChain::HttpChain(exchange::ExchangeHost& host,
                     std::shared_ptr<const config::ListenerConfig> config,
                     std::string_view node_id, uint32_t stat_slot, size_t max_connections)
    : host_(host),
      config_(std::move(config)),
      hop_(hop_of(*config_, node_id)),
      stat_slot_(stat_slot),
      server_(host.loop(), *this, options_of(*config_, max_connections)) {}

void HttpChain::adopt(std::shared_ptr<const config::ListenerConfig> config) {
  if (config->tls != config_->tls) server_.set_tls(config->tls);
  server_.set_limits(config->http.limits);
  config_ = std::move(config);
}

void HttpChain::remove() {
  removed_ = true;
  server_.drain();
}

std::unique_ptr<Task> HttpChain::serve(StreamRef stream) {
  const exchange::ListenerView view{.config = config_.get(),
                                    .hop = hop_,
                                    .stat_slot = stat_slot_,
                                    .removed = removed_};
  return std::make_unique<exchange::Exchange>(host_, view, std::move(stream));
}

void HttpChain::refused(const Refused& what, const Connection& connection) {
  host_.refused({.listener = config_.get(),
                 .listener_stat_slot = stat_slot_,
                 .what = &what,
                 .http2 = connection.protocol() == Protocol::http2,
                 .from = &connection.peer_address(),
                 .caller = connection.peer_identity()});
}

bool speaks_otherwise(const config::ListenerConfig& a, const config::ListenerConfig& b) {
  return a.http.codec != b.http.codec || (a.tls == nullptr) != (b.tls == nullptr);
}

}  // namespace tulle::accept
