// authority: what host[:port] may look like, for both versions of HTTP. Pure functions, no state.
//
// Stricter than RFC 3986, because proxies and the servers behind them have disagreed about the rest.
#pragma once

#include <string>
#include <string_view>

namespace tulle {

// host[:port] or [v6][:port]: no user information, no list, port digits only.
bool is_authority(std::string_view authority);

// Whether two authorities name the same thing: case, one trailing dot and the default port of the
// scheme do not count.
bool same_authority(std::string_view a, std::string_view b, std::string_view scheme);

// Lower case, without one trailing dot of the host; the port stays. In place, and nothing happens to
// one that is so already.
void canonicalise_authority(std::string& authority);

}  // namespace tulle
