// Certificates and verification of a TLS context, from inline data, files and secrets.
//
// For compile_tls.cpp; protobuf types are declared only.
#pragma once

#include "core/net/tls.hpp"
#include "sidecar/config/compile_context.hpp"

namespace envoy::extensions::transport_sockets::tls::v3 {
class CommonTlsContext;
}

namespace tulle::config {

// One side's TLS while it is being read. `broken` means something has been reported.
struct TlsDraft {
  TlsOptions options;
  bool has_certificate = false;
  bool has_validation = false;
  bool broken = false;
  std::string trust_domain;  // not empty: peers are verified against the workload's own trust
};

void read_certificate(CompileContext& context,
                      const envoy::extensions::transport_sockets::tls::v3::CommonTlsContext& common,
                      TlsDraft& draft, const Place& place);

// Whom to trust and whom to expect. Verification that is asked for without a CA is reported.
void read_validation(CompileContext& context,
                     const envoy::extensions::transport_sockets::tls::v3::CommonTlsContext& common,
                     TlsDraft& draft, const Place& place);

}  // namespace tulle::config
