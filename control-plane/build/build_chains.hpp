// Filter chains: what is spoken on a connection of a listener, and where it goes. Pure.
//
// Parts of build_listener.cpp and build_captured.cpp.
#pragma once

#include <string>
#include <string_view>

#include "control-plane/build/build_parts.hpp"

namespace envoy::config::listener::v3 {
class FilterChain;
class Listener;
}  // namespace envoy::config::listener::v3

namespace tulle::build {

using HttpConnectionManager =
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::config::listener::v3::FilterChain;
using envoy::config::listener::v3::Listener;

void add_router(HttpConnectionManager& manager);
// The application's calls: where a request goes is found out by its destination.
void add_outbound_http(const Scene& scene, std::string_view name, FilterChain& chain);

// To the node's own application. With the mesh's TLS, or as it comes.
enum class Transport : uint8_t { mesh, plain };
void add_inbound_http(const Scene& scene, const NodePort& port, std::string_view name,
                      Transport transport, FilterChain& chain);
void add_inbound_tcp(std::string_view name, const std::string& cluster, Transport transport,
                     FilterChain& chain);

// Opaque TCP to a cluster; an empty one: to wherever the connection was going.
void add_proxy(std::string_view stat_prefix, const std::string& cluster, uint32_t attempts,
               FilterChain& chain);

// Listener filters.
void inspect_tls(Listener& listener);
void inspect_http(Listener& listener);
void ask_original_destination(Listener& listener);

}  // namespace tulle::build
