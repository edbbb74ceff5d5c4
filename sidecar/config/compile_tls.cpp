// Transport sockets to TLS contexts. Fails closed: whoever asks for verification gets it, and a
// client always verifies.
#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "sidecar/config/compile_parts.hpp"
#include "sidecar/config/compile_secrets.hpp"
#include "sidecar/config/proto_values.hpp"

namespace tulle::config {

namespace {

namespace core = envoy::config::core::v3;
namespace tls = envoy::extensions::transport_sockets::tls::v3;
using envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;

constexpr std::array<std::string_view, 3> kCipherSuites{
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"};

// Inside the mesh, where both sides have certificates, TLS 1.3 is the minimum whatever is asked.
void read_parameters(const tls::TlsParameters& parameters, bool mutual, TlsDraft& draft,
                     const Place& place) {
  using Parameters = tls::TlsParameters;
  const auto low = parameters.tls_minimum_protocol_version();
  const auto high = parameters.tls_maximum_protocol_version();
  if (low == Parameters::TLSv1_0 || low == Parameters::TLSv1_1) {
    place.field("tls_minimum_protocol_version").invalid("must be TLSv1_2 or TLSv1_3");
    draft.broken = true;
  }
  if (high != Parameters::TLS_AUTO && high != Parameters::TLSv1_3) {
    place.field("tls_maximum_protocol_version").unsupported("only TLSv1_3 is supported yet");
    draft.broken = true;
  }
  draft.options.allow_tls12 = !mutual && low != Parameters::TLSv1_3;
  for (int i = 0; i < parameters.cipher_suites_size(); ++i) {
    const std::string& suite = parameters.cipher_suites(i);
    if (std::ranges::find(kCipherSuites, suite) == kCipherSuites.end()) {
      place.field("cipher_suites").at(static_cast<size_t>(i))
          .unsupported("\"" + suite + "\" is not a TLS 1.3 cipher suite");
      draft.broken = true;
      continue;
    }
    if (!draft.options.cipher_suites.empty()) draft.options.cipher_suites.push_back(':');
    draft.options.cipher_suites.append(suite);
  }
}

void read_alpn(const tls::CommonTlsContext& common, TlsDraft& draft, const Place& place) {
  for (int i = 0; i < common.alpn_protocols_size(); ++i) {
    const std::string& name = common.alpn_protocols(i);
    if (name.empty() || name.size() > 255) {
      place.field("alpn_protocols").at(static_cast<size_t>(i)).invalid("must have 1 to 255 bytes");
      draft.broken = true;
    }
    draft.options.alpn.push_back(name);
  }
}

TlsDraft read_common(CompileContext& context, const tls::CommonTlsContext& common,
                  const Place& place) {
  TlsDraft draft;
  read_certificate(context, common, draft, place);
  read_validation(context, common, draft, place);
  const bool mutual = draft.has_certificate && draft.has_validation;
  read_parameters(common.tls_params(), mutual, draft, place.field("tls_params"));
  read_alpn(common, draft, place);
  return draft;
}

bool is_mesh_peer(const SanMatcher& san) {
  return san.type == SanMatcher::Type::uri && san.value.starts_with("spiffe://");
}

constexpr std::string_view kMeshTcp = "tulle-tcp";

// Mesh tokens let a server tell the mesh's TLS from an application's own.
std::vector<std::string> protocols(const Spoken& spoken, bool mesh) {
  std::vector<std::string> names;
  if (mesh && spoken.http2) names.emplace_back("tulle-h2");
  if (mesh && spoken.http1) names.emplace_back("tulle-http/1.1");
  if (mesh && spoken.tcp) names.emplace_back(kMeshTcp);
  if (spoken.http2) names.emplace_back("h2");
  if (spoken.http1) names.emplace_back("http/1.1");
  return names;
}

bool is_of_http(const std::string& name) {
  return name == "h2" || name == "tulle-h2" || name == "http/1.1" || name == "tulle-http/1.1";
}

// A side must not negotiate what it does not speak. Above opaque TCP anything may be spoken, but not
// by the mesh.
bool is_spoken(const std::string& name, const Spoken& spoken) {
  if (name == "h2") return spoken.http2 || spoken.tcp;
  if (name == "http/1.1") return spoken.http1 || spoken.tcp;
  if (name == "tulle-h2") return spoken.http2;
  if (name == "tulle-http/1.1") return spoken.http1;
  return name != kMeshTcp || spoken.tcp;
}

void check_alpn(const TlsOptions& options, const Spoken& spoken, const Place& place) {
  for (size_t i = 0; i < options.alpn.size(); ++i) {
    const std::string& name = options.alpn[i];
    const bool wrong = !is_spoken(name, spoken);
    if (wrong) {
      place.field("alpn_protocols").at(i).invalid("\"" + name + "\" is not spoken here");
    }
  }
}

ServerTls compile_server(CompileContext& context, const tls::DownstreamTlsContext& downstream,
                         const Spoken& spoken, const Place& place) {
  const Place common_place = place.field("common_tls_context");
  TlsDraft draft = read_common(context, downstream.common_tls_context(), common_place);
  const bool required = downstream.require_client_certificate().value();
  if (!draft.has_certificate) {
    common_place.invalid("a server needs a certificate");
    return {};
  }
  if (required && !draft.has_validation) {
    place.field("require_client_certificate").invalid("needs a trusted_ca to verify with");
    return {};
  }
  if (draft.broken) return {};
  // Whoever the mesh's authority has certified is a caller only with a name of the mesh: another
  // certificate of that authority, without a SPIFFE ID or of a federated domain, is not.
  if (draft.options.peer_sans.empty() && !draft.trust_domain.empty()) {
    draft.options.peer_sans.push_back({SanMatcher::Type::uri, SanMatcher::Kind::prefix,
                                       "spiffe://" + draft.trust_domain + "/"});
  }
  if (draft.options.alpn.empty()) {
    draft.options.alpn = protocols(spoken, draft.has_validation);
  }
  check_alpn(draft.options, spoken, common_place);
  const auto made = context.server_tls(draft.options, required);
  if (!made) {
    common_place.invalid(made.error().detail);
    return {};
  }
  return {*made, required};
}

ClientTls compile_client(CompileContext& context, const tls::UpstreamTlsContext& upstream,
                         UpstreamProtocol protocol, const Place& place) {
  const Place common_place = place.field("common_tls_context");
  TlsDraft draft = read_common(context, upstream.common_tls_context(), common_place);
  if (!draft.has_validation) {
    common_place.invalid("a client needs a trusted_ca to verify the server with");
    return {};
  }
  if (draft.broken) return {};
  if (draft.options.peer_sans.empty() && upstream.sni().empty()) {
    common_place.invalid(
        "needs match_typed_subject_alt_names or sni: nothing says which server to expect");
    return {};
  }
  // One cluster may carry both; which of them a connection offers is known when it is opened.
  const Spoken spoken{.http1 = protocol != UpstreamProtocol::http2,
                      .http2 = protocol != UpstreamProtocol::http1};
  const bool mesh = draft.has_certificate &&
                    std::ranges::any_of(draft.options.peer_sans, is_mesh_peer);
  std::vector<std::string> tcp_alpn;
  if (mesh) tcp_alpn.emplace_back(kMeshTcp);
  if (draft.options.alpn.empty()) {
    draft.options.alpn = protocols(spoken, mesh);
  } else if (!mesh) {
    std::ranges::remove_copy_if(draft.options.alpn, std::back_inserter(tcp_alpn), is_of_http);
  }
  const bool only_tcp = std::ranges::none_of(draft.options.alpn, is_of_http);
  check_alpn(draft.options,
             {.http1 = spoken.http1, .http2 = spoken.http2, .tcp = only_tcp}, common_place);
  const auto made = context.client_tls(draft.options, upstream.sni());
  if (!made) {
    common_place.invalid(made.error().detail);
    return {};
  }
  return {*made, upstream.sni(), std::move(tcp_alpn)};
}

// The type decides, not the name. A socket without a type is never taken for plaintext.
std::string socket_type(const core::TransportSocket& socket, const Place& place) {
  if (!socket.has_typed_config()) {
    place.invalid("needs a typed_config");
    return {};
  }
  return packed_type(socket.typed_config(), place.field("typed_config"));
}

}  // namespace

ServerTls compile_server_socket(CompileContext& context, const core::TransportSocket& socket,
                                const Spoken& spoken, const Place& place) {
  const std::string type = socket_type(socket, place);
  const Place at = place.field("typed_config");
  tls::DownstreamTlsContext downstream;
  RawBuffer raw;
  if (type == downstream.GetTypeName()) {
    if (!unpack(socket.typed_config(), downstream, at)) return {};
    return compile_server(context, downstream, spoken, at);
  }
  if (type == raw.GetTypeName()) {
    unpack(socket.typed_config(), raw, at);
  } else if (!type.empty()) {
    at.unsupported("a listener cannot have a " + type);
  }
  return {};
}

ClientTls compile_client_socket(CompileContext& context, const core::TransportSocket& socket,
                                UpstreamProtocol protocol, const Place& place) {
  const std::string type = socket_type(socket, place);
  const Place at = place.field("typed_config");
  tls::UpstreamTlsContext upstream;
  RawBuffer raw;
  if (type == upstream.GetTypeName()) {
    if (!unpack(socket.typed_config(), upstream, at)) return {};
    return compile_client(context, upstream, protocol, at);
  }
  if (type == raw.GetTypeName()) {
    unpack(socket.typed_config(), raw, at);
  } else if (!type.empty()) {
    at.unsupported("a cluster cannot have a " + type);
  }
  return {};
}

}  // namespace tulle::config
