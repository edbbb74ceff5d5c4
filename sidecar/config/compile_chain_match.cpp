// FilterChainMatch: which connections of a listener a chain is for.
#include <algorithm>

#include "core/base/ascii.hpp"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/proto_values.hpp"

namespace tulle::config {

namespace {

using Source = envoy::config::listener::v3::FilterChainMatch;
using Transport = ChainMatch::Transport;

// "name" or "*.suffix"; a bare "*" would be the same as no condition and is refused as Envoy does.
bool is_server_name(std::string_view name) {
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (name.empty() || name.size() > 255 || name.front() == '.' || name.back() == '.') return false;
  return std::ranges::all_of(name, [](char c) {
    return is_lower(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
  });
}

void read_server_names(const Source& source, ChainMatch& match, const Place& place) {
  for (int i = 0; i < source.server_names_size(); ++i) {
    std::string name = lower_case(source.server_names(i));
    if (!is_server_name(name)) {
      place.field("server_names").at(static_cast<size_t>(i))
          .invalid("\"" + name + "\" is neither a host name nor \"*.\" and a host name");
    }
    match.server_names.push_back(std::move(name));
  }
}

Transport transport_of(const std::string& text, const Place& place) {
  if (text.empty()) return Transport::any;
  if (text == "raw_buffer") return Transport::plain;
  if (text == "tls") return Transport::tls;
  place.field("transport_protocol").invalid("must be \"raw_buffer\" or \"tls\"");
  return Transport::any;
}

bool is_of_http(const std::string& protocol) {
  return protocol == "http/1.0" || protocol == "http/1.1" || protocol == "h2c";
}

}  // namespace

ChainMatch compile_chain_match(const Source& source, const Inspectors& inspectors,
                               const Place& place) {
  ChainMatch match;
  if (source.has_destination_port()) {
    uint32_t port = 0;
    read_number(source.destination_port(), 1, UINT16_MAX, port, place.field("destination_port"));
    match.destination_port = static_cast<uint16_t>(port);
  }
  read_server_names(source, match, place);
  match.transport = transport_of(source.transport_protocol(), place);
  match.protocols.assign(source.application_protocols().begin(),
                         source.application_protocols().end());
  constexpr const char* kNeedsTls = "can only be known by the listener filter TlsInspector";
  if (!inspectors.tls && !match.server_names.empty()) {
    place.field("server_names").invalid(kNeedsTls);
  }
  if (!inspectors.tls && match.transport == Transport::tls) {
    place.field("transport_protocol").invalid(kNeedsTls);
  }
  const bool all_http = std::ranges::all_of(match.protocols, is_of_http);
  const bool some_http = std::ranges::any_of(match.protocols, is_of_http);
  if (!all_http && !inspectors.tls) place.field("application_protocols").invalid(kNeedsTls);
  if (some_http && !inspectors.http && !inspectors.tls) {
    place.field("application_protocols")
        .invalid("can only be known by the listener filter HttpInspector");
  }
  return match;
}

}  // namespace tulle::config
