// The one place that knows both roles of HTTP/1.
#include "core/http/codec.hpp"
#include "core/http/http1_client.hpp"
#include "core/http/http1_server.hpp"

namespace tulle {

std::unique_ptr<Codec> make_http1_codec(Codec::Role role, const HttpLimits& limits,
                                        std::string_view scheme) {
  if (role == Codec::Role::server) return std::make_unique<Http1Server>(limits, scheme);
  return std::make_unique<Http1Client>(limits, scheme);
}

}  // namespace tulle
