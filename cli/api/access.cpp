#include "cli/api/access.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cli/run_record.hpp"

namespace tulle::cli {
namespace {

constexpr uint16_t kDefaultPort = 15080;

Error bad_url(const std::string& url) {
  return {Code::invalid_config, Origin::local,
          "\"" + url + "\" is no API address; it looks like https://127.0.0.1:15080"};
}

// This blocks: a command has nothing else to do meanwhile.
Result<Address> look_up(const std::string& host, uint16_t port) {
  if (host == "localhost") return Address::parse("127.0.0.1", port);
  if (Result<Address> literal = Address::parse(host, port)) return literal;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (status != 0) {
    return Error{Code::not_found, Origin::local, host + ": " + ::gai_strerror(status)};
  }
  const Address address = Address::from(*found->ai_addr).with_port(port);
  ::freeaddrinfo(found);
  return address;
}

struct UrlParts {
  bool secure = true;
  std::string host;
  std::string authority;
  uint16_t port = kDefaultPort;
};

Result<UrlParts> parse_url(const std::string& url) {
  UrlParts parts;
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
    parts.secure = false;
  } else if (rest.find("://") != std::string_view::npos) {
    return bad_url(url);
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const size_t bracket = rest.find(']');
  const size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  std::string_view host = rest.substr(0, colon);
  if (colon != std::string_view::npos) {
    const std::string digits(rest.substr(colon + 1));
    const long port = digits.size() <= 5 ? std::strtol(digits.c_str(), nullptr, 10) : 0;
    const bool only_digits = std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
    if (digits.empty() || !only_digits || port < 1 || port > 65535) return bad_url(url);
    parts.port = static_cast<uint16_t>(port);
  }
  parts.authority = std::string(host) + ":" + std::to_string(parts.port);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.find_first_of("/?#@ ") != std::string_view::npos) return bad_url(url);
  parts.host = host;
  return parts;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<std::shared_ptr<const TlsContext>> trust(const std::string& ca_file, const std::string& host,
                                                const Address& address) {
  if (ca_file.empty()) {
    return Error{Code::invalid_config, Origin::local,
                 "the file of the mesh's CA is not known: give --ca-file or TULLE_CA_FILE"};
  }
  Result<std::string> pem = read_whole_file(ca_file);
  if (!pem) return pem.error();
  TlsOptions options;
  options.trust_pem = std::move(*pem);
  options.origin = ca_file;
  options.alpn = {"http/1.1"};
  return TlsContext::client(options, address.is_loopback() ? "localhost" : host);
}

}  // namespace

Result<ApiAccess> open_access(const std::string& url, const std::string& token_file,
                              const std::string& ca_file) {
  Result<UrlParts> parts = parse_url(url);
  if (!parts) return parts.error();
  Result<Address> address = look_up(parts->host, parts->port);
  if (!address) return address.error();
  ApiAccess access;
  access.authority = parts->authority;
  access.url = (parts->secure ? "https://" : "http://") + parts->authority;
  access.address = *address;
  if (parts->secure) {
    Result<std::shared_ptr<const TlsContext>> tls = trust(ca_file, parts->host, *address);
    if (!tls) return tls.error();
    access.tls = *tls;
  } else if (!address->is_loopback()) {
    return Error{Code::invalid_config, Origin::local,
                 url + ": the token would travel in clear; use https://"};
  }
  if (token_file.empty()) {
    return Error{Code::invalid_config, Origin::local,
                 "the file of the admin token is not known: give --token-file or TULLE_TOKEN_FILE"};
  }
  Result<std::string> token = read_whole_file(token_file);
  if (!token) return token.error();
  const size_t end = token->find_last_not_of(" \t\r\n");
  access.token = token->substr(0, end == std::string::npos ? 0 : end + 1);
  if (access.token.empty() || access.token.find_first_of(" \t\r\n") != std::string::npos) {
    return Error{Code::invalid_config, Origin::local, token_file + ": must hold one token"};
  }
  return access;
}

Result<ApiAccess> access_of_run(const RunDirectory& run) {
  Result<std::string> endpoints = read_whole_file(run.endpoints());
  if (!endpoints) {
    return Error{Code::not_found, Origin::local,
                 "the control plane of mesh " + run.name() + " has not come up yet (" +
                     endpoints.error().detail + ")"};
  }
  const nlohmann::json document = nlohmann::json::parse(*endpoints, nullptr, false);
  const auto api = document.is_object() ? document.find("api") : document.end();
  if (api == document.end() || !api->is_string()) {
    return Error{Code::invalid_config, Origin::local, run.endpoints() + ": names no \"api\""};
  }
  Result<ApiAccess> access = open_access(api->get<std::string>(), run.token(), run.trust_bundle());
  if (!access) return access;
  if (const Result<RunRecord> record = read_record(run)) {
    access->network_namespace = record->network_namespace;
  }
  return access;
}

AccessOptions with_environment(AccessOptions options) {
  if (options.api.empty()) options.api = environment("TULLE_API");
  if (options.token_file.empty()) options.token_file = environment("TULLE_TOKEN_FILE");
  if (options.ca_file.empty()) options.ca_file = environment("TULLE_CA_FILE");
  return options;
}

Result<ApiAccess> find_access(const AccessOptions& given) {
  const AccessOptions options = with_environment(given);
  if (!options.api.empty() && options.mesh.empty()) {
    return open_access(options.api, options.token_file, options.ca_file);
  }
  Result<RunDirectory> run = choose_running(options.mesh);
  if (!run) return run.error();
  return access_of_run(*run);
}

}  // namespace tulle::cli
