#include "sidecar/config/filter_chains.hpp"

#include <algorithm>
#include <array>

namespace tulle::config {
namespace {

using Transport = ChainMatch::Transport;

// How well a chain fits by one criterion: nothing, not mentioned (0), or the larger the better.
using Rank = std::optional<size_t>;

Rank rank_of_port(const ChainMatch& match, const ConnectionFacts& facts) {
  if (match.destination_port == 0) return 0;
  return match.destination_port == facts.destination_port ? Rank(1) : std::nullopt;
}

Rank rank_of_name(const ChainMatch& match, const ConnectionFacts& facts) {
  if (match.server_names.empty()) return 0;
  size_t best = 0;
  for (const std::string& pattern : match.server_names) {
    best = std::max(best, server_name_rank(pattern, facts.server_name));
  }
  return best > 0 ? Rank(best) : std::nullopt;
}

Rank rank_of_transport(const ChainMatch& match, const ConnectionFacts& facts) {
  if (match.transport == Transport::any) return 0;
  return (match.transport == Transport::tls) == facts.tls ? Rank(1) : std::nullopt;
}

Rank rank_of_protocols(const ChainMatch& match, const ConnectionFacts& facts) {
  if (match.protocols.empty()) return 0;
  const bool shared = std::ranges::any_of(facts.protocols, [&](const std::string& protocol) {
    return std::ranges::find(match.protocols, protocol) != match.protocols.end();
  });
  return shared ? Rank(1) : std::nullopt;
}

}  // namespace

const routing::Forward* TcpProxy::forward() const {
  if (on_demand) return nullptr;
  return std::get_if<routing::Forward>(&routes->virtual_hosts()[0].routes[0].action);
}

size_t server_name_rank(std::string_view pattern, std::string_view name) {
  if (name.empty()) return 0;
  if (!pattern.starts_with("*")) return pattern == name ? SIZE_MAX : 0;
  const std::string_view suffix = pattern.substr(1);  // ".example.com"
  return name.size() > suffix.size() && name.ends_with(suffix) ? suffix.size() : 0;
}

const FilterChain* FilterChains::choose(const ConnectionFacts& facts) const {
  std::array<const FilterChain*, kMost> left;
  size_t count = 0;
  for (const FilterChain& chain : chains) left[count++] = &chain;
  for (const auto rank_of : {rank_of_port, rank_of_name, rank_of_transport, rank_of_protocols}) {
    Rank best;
    for (size_t i = 0; i < count; ++i) best = std::max(best, rank_of(left[i]->match, facts));
    const auto end = std::remove_if(left.begin(), left.begin() + static_cast<ptrdiff_t>(count),
                                    [&](const FilterChain* chain) {
                                      const Rank rank = rank_of(chain->match, facts);
                                      return !rank || rank != best;
                                    });
    count = static_cast<size_t>(end - left.begin());
  }
  if (count > 0) return left[0];
  return fallback ? &*fallback : nullptr;
}

}  // namespace tulle::config
