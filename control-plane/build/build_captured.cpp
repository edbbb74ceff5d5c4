// The listeners of a node whose traffic is captured: one for everything its application calls, one
// for everything that comes to it. Where a connection was going decides.
#include "control-plane/build/build_chains.hpp"
#include "control-plane/model/service_rules.hpp"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"

namespace tulle::build {

namespace {

namespace core = envoy::config::core::v3;

// A client that is silent for so long may wait for its server to speak first.
constexpr Duration kSilent = 50ms;

void begin_listener(std::string_view name, core::TrafficDirection direction, const char* ip,
                    uint16_t port, Listener& listener) {
  listener.set_name(std::string(name));
  listener.set_traffic_direction(direction);
  set_address(*Address::parse(ip, port), *listener.mutable_address());
  ask_original_destination(listener);
  inspect_tls(listener);
  inspect_http(listener);
}

void go_on_when_silent(Listener& listener) {
  set_duration(kSilent, *listener.mutable_listener_filters_timeout());
  listener.set_continue_on_listener_filters_timeout(true);
}

std::string outbound(const Scene& scene, std::string_view name, const char* ip) {
  Listener listener;
  begin_listener(name, core::OUTBOUND, ip, scene.node.capture->outbound, listener);
  go_on_when_silent(listener);
  listener.mutable_use_original_dst()->set_value(true);
  FilterChain& http = *listener.add_filter_chains();
  http.set_name("http");
  for (const char* protocol : {"http/1.0", "http/1.1", "h2c"}) {
    http.mutable_filter_chain_match()->add_application_protocols(protocol);
  }
  add_outbound_http(scene, name, http);
  FilterChain& tcp = *listener.mutable_default_filter_chain();
  tcp.set_name("tcp");
  add_proxy(name, "", 1, tcp);
  return to_bytes(listener);
}

// Adds chains for connections to one port. Criteria decide one after the other and never go back,
// so every chain of a port says which transport it is for, where any of them does.
class PortChains {
 public:
  PortChains(const Scene& scene, const NodePort& port, Listener& listener)
      : scene_(scene), port_(port), listener_(listener), name_(inbound_listener_name(port.port)) {}

  void http(const char* transport, std::initializer_list<const char*> protocols, Transport how) {
    add_inbound_http(scene_, port_, name_, how, chain(transport, protocols));
  }
  void tcp(const char* transport, std::initializer_list<const char*> protocols, Transport how) {
    add_inbound_tcp(name_, inbound_cluster_name(port_.port), how, chain(transport, protocols));
  }

 private:
  FilterChain& chain(const char* transport, std::initializer_list<const char*> protocols) {
    FilterChain& added = *listener_.add_filter_chains();
    added.set_name(name_ + "|" + std::to_string(count_++));
    auto& match = *added.mutable_filter_chain_match();
    match.mutable_destination_port()->set_value(port_.port);
    match.set_transport_protocol(transport);
    for (const char* protocol : protocols) match.add_application_protocols(protocol);
    return added;
  }

  const Scene& scene_;
  const NodePort& port_;
  Listener& listener_;
  const std::string name_;
  int count_ = 0;
};

// The mesh's TLS is known by its tokens; only it is taken, whatever else comes fails the handshake
// or has no chain.
void add_strict(PortChains& chains, model::AppProtocol protocol) {
  if (protocol == model::AppProtocol::unspecified) {
    chains.tcp("tls", {"tulle-tcp"}, Transport::mesh);
    chains.http("tls", {}, Transport::mesh);
  } else if (model::is_opaque(protocol)) {
    chains.tcp("tls", {}, Transport::mesh);
  } else {
    chains.http("tls", {}, Transport::mesh);
  }
}

// What is not the mesh's goes to the application as it comes; TLS too, unless only HTTP is expected.
void add_permissive(PortChains& chains, model::AppProtocol protocol) {
  if (protocol == model::AppProtocol::unspecified) {
    chains.tcp("tls", {"tulle-tcp"}, Transport::mesh);
    chains.http("tls", {"tulle-h2", "tulle-http/1.1"}, Transport::mesh);
    chains.tcp("tls", {}, Transport::plain);
    chains.http("raw_buffer", {"http/1.0", "http/1.1", "h2c"}, Transport::plain);
    chains.tcp("raw_buffer", {}, Transport::plain);
  } else if (model::is_opaque(protocol)) {
    chains.tcp("tls", {"tulle-tcp"}, Transport::mesh);
    chains.tcp("tls", {}, Transport::plain);
    chains.tcp("raw_buffer", {}, Transport::plain);
  } else {
    chains.http("tls", {}, Transport::mesh);
    chains.http("raw_buffer", {}, Transport::plain);
  }
}

std::string inbound(const Scene& scene) {
  const Capture& capture = *scene.node.capture;
  Listener listener;
  begin_listener(kCapturedInbound, core::INBOUND, capture.ipv6 ? "::" : "0.0.0.0", capture.inbound,
                 listener);
  if (capture.transparent) listener.mutable_transparent()->set_value(true);
  // Nobody in the mesh waits for the server before the handshake; others may.
  if (capture.permissive) go_on_when_silent(listener);
  for (const NodePort& port : scene.node.ports) {
    PortChains chains(scene, port, listener);
    const auto add = capture.permissive ? add_permissive : add_strict;
    add(chains, port.app_protocol);
  }
  if (capture.permissive) {
    FilterChain& rest = *listener.mutable_default_filter_chain();
    rest.set_name("undeclared");
    add_inbound_tcp(kCapturedInbound, std::string(kInboundPassthrough), Transport::plain, rest);
  }
  return to_bytes(listener);
}

}  // namespace

std::optional<std::string> build_captured(const Scene& scene, std::string_view name) {
  if (!scene.node.capture) return std::nullopt;
  if (name == kCapturedOutbound) return outbound(scene, name, "127.0.0.1");
  if (name == kCapturedOutbound6 && scene.node.capture->ipv6) return outbound(scene, name, "::1");
  // Without ports and strict there is nobody to deliver to.
  const bool empty = scene.node.ports.empty() && !scene.node.capture->permissive;
  if (name == kCapturedInbound && !empty) return inbound(scene);
  return std::nullopt;
}

}  // namespace tulle::build
