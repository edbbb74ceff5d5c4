// ApiAccess: where the control plane's API is and what opens it: address, trust and token.
//
// Found, in this order: what the command line says, the environment (TULLE_API, TULLE_TOKEN_FILE,
// TULLE_CA_FILE), the mesh that is up. The token is only ever sent over TLS, or to this machine.
#pragma once

#include <memory>
#include <string>

#include "cli/run_directory.hpp"
#include "core/base/result.hpp"
#include "core/net/address.hpp"
#include "core/net/tls.hpp"

namespace tulle::cli {

struct ApiAccess {
  std::string url;         // "https://127.0.0.1:15080", for messages
  std::string authority;   // "127.0.0.1:15080"
  Address address;
  std::shared_ptr<const TlsContext> tls;  // null: plain HTTP
  std::string token;
  std::string network_namespace;          // where the address is meant; empty: here
};

struct AccessOptions {
  std::string api, token_file, ca_file;  // each may be empty
  std::string mesh;                      // name of a mesh that is up; empty: the only one
};

// Options that are empty are filled in from the environment.
AccessOptions with_environment(AccessOptions options);
Result<ApiAccess> find_access(const AccessOptions& options);
Result<ApiAccess> access_of_run(const RunDirectory& run);
// "https://HOST[:PORT]"; names are looked up. The files are read.
Result<ApiAccess> open_access(const std::string& url, const std::string& token_file,
                              const std::string& ca_file);

}  // namespace tulle::cli
