// Document: one stored object (Service, Workload, HTTPRoute) as plain typed values.
//
// Owns nothing but its values; comparing two documents compares what they say. Everything here has
// been read strictly (model/read.hpp): a Document is valid by itself. Whether what it refers to
// exists is the validate folder's question.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/clock.hpp"

namespace tulle::model {

// In the order of Document::spec.
enum class Kind : uint8_t { service, workload, http_route };
inline constexpr std::array<Kind, 3> kKinds = {Kind::service, Kind::workload, Kind::http_route};

std::string_view name_of(Kind kind);         // "Service"
std::string_view plural_of(Kind kind);       // "services": in paths of the API
std::string_view api_version_of(Kind kind);  // "v1"
std::optional<Kind> kind_of_plural(std::string_view plural);

using StringMap = std::map<std::string, std::string>;

struct Metadata {
  std::string name;
  std::string namespace_name = "default";
  StringMap labels;
  StringMap annotations;
  uint64_t generation = 0;         // counts the changes of spec; the store's
  uint64_t resource_version = 0;   // the store's revision that wrote it; in a write: the one expected
  std::string creation_timestamp;  // RFC 3339, the store's
  friend bool operator==(const Metadata&, const Metadata&) = default;
};

// Absent: found out per connection. The opaque ones differ in nothing but their names; their bytes
// are carried as they are, TLS of the application's own included.
enum class AppProtocol : uint8_t {
  unspecified, http, h2c, grpc, tcp, tls, redis, mysql, postgresql, mongodb, amqp, kafka,
};
inline constexpr std::array kAppProtocols = {
    AppProtocol::http, AppProtocol::h2c, AppProtocol::grpc, AppProtocol::tcp, AppProtocol::tls,
    AppProtocol::redis, AppProtocol::mysql, AppProtocol::postgresql, AppProtocol::mongodb,
    AppProtocol::amqp, AppProtocol::kafka};
std::string_view to_string(AppProtocol protocol);  // empty: unspecified
// Other spellings of some are known as well.
std::optional<AppProtocol> app_protocol_of(std::string_view text);
inline bool is_opaque(AppProtocol protocol) { return protocol >= AppProtocol::tcp; }

// ---- Service --------------------------------------------------------------------------------

struct ServicePort {
  std::string name;  // empty only when it is the only port
  uint16_t port = 0;
  AppProtocol app_protocol = AppProtocol::unspecified;
  friend bool operator==(const ServicePort&, const ServicePort&) = default;
};

struct ServiceSpec {
  std::vector<ServicePort> ports;     // at least one; names and numbers are unique
  std::optional<StringMap> selector;  // see selector_of() in model/service_rules.hpp
  // Where callers reach it whose connections are captured: at most one address of each family, no
  // two Services have the same.
  std::vector<std::string> cluster_ips;
  bool headless = false;  // clusterIP "None": its instances are called by their own addresses
  friend bool operator==(const ServiceSpec&, const ServiceSpec&) = default;
};

// ---- Workload -------------------------------------------------------------------------------

struct WorkloadPort {
  std::string name;
  uint16_t port = 0;    // of the application
  std::string inbound;  // "ip:port" where its sidecar takes mutual TLS
  AppProtocol app_protocol = AppProtocol::unspecified;
  friend bool operator==(const WorkloadPort&, const WorkloadPort&) = default;
};

struct Locality {
  std::string region, zone, sub_zone;
  friend bool operator==(const Locality&, const Locality&) = default;
};

struct WorkloadSpec {
  enum class Source : uint8_t { manual, registration };
  std::string service;  // the account it runs as; also its implicit label tulle.dev/service
  std::string address;  // IP
  std::vector<WorkloadPort> ports;
  StringMap labels;
  uint32_t weight = 1;
  Locality locality;
  Source source = Source::manual;
  std::string node;  // registration: the id of the node that registered it
  friend bool operator==(const WorkloadSpec&, const WorkloadSpec&) = default;
};

// ---- HTTPRoute ------------------------------------------------------------------------------

struct ParentRef {
  std::string name;
  std::string namespace_name;    // never empty: the route's own when it was left out
  std::optional<uint16_t> port;  // absent: every port of the Service
  std::string section_name;      // name of a port; empty: none
  friend bool operator==(const ParentRef&, const ParentRef&) = default;
};

struct PathMatch {
  enum class Type : uint8_t { exact, prefix, regex };  // prefix: by whole elements
  Type type = Type::prefix;
  std::string value = "/";
  friend bool operator==(const PathMatch&, const PathMatch&) = default;
};

// A header field (name in lower case) or a query parameter (name as written).
struct ValueMatch {
  enum class Type : uint8_t { exact, regex };
  Type type = Type::exact;
  std::string name;
  std::string value;
  friend bool operator==(const ValueMatch&, const ValueMatch&) = default;
};

// All conditions must hold.
struct HttpMatch {
  PathMatch path;
  std::vector<ValueMatch> headers;
  std::vector<ValueMatch> query_params;
  std::string method;  // empty: any
  friend bool operator==(const HttpMatch&, const HttpMatch&) = default;
};

using NameValue = std::pair<std::string, std::string>;  // name in lower case

struct HeaderModifier {
  std::vector<NameValue> set;
  std::vector<NameValue> add;
  std::vector<std::string> remove;
  bool empty() const { return set.empty() && add.empty() && remove.empty(); }
  friend bool operator==(const HeaderModifier&, const HeaderModifier&) = default;
};

struct PathModifier {
  enum class Type : uint8_t { full, prefix };  // prefix: what the rule's one PathPrefix matched
  Type type = Type::full;
  std::string value;
  friend bool operator==(const PathModifier&, const PathModifier&) = default;
};

struct RequestRedirect {
  std::string scheme;    // empty: the request's
  std::string hostname;  // empty: the request's
  std::optional<PathModifier> path;
  std::optional<uint16_t> port;
  uint16_t status_code = 302;
  friend bool operator==(const RequestRedirect&, const RequestRedirect&) = default;
};

struct UrlRewrite {
  std::string hostname;  // empty: unchanged
  std::optional<PathModifier> path;
  friend bool operator==(const UrlRewrite&, const UrlRewrite&) = default;
};

// At most one of each type; a redirect excludes a rewrite and backends.
struct Filters {
  std::optional<HeaderModifier> request_headers;
  std::optional<HeaderModifier> response_headers;
  std::optional<RequestRedirect> redirect;  // never on a backend
  std::optional<UrlRewrite> rewrite;        // on a backend: the hostname only
  friend bool operator==(const Filters&, const Filters&) = default;
};

struct BackendRef {
  std::string name;
  std::string namespace_name;  // never empty
  uint16_t port = 0;           // of the Service
  uint32_t weight = 1;
  Filters filters;
  friend bool operator==(const BackendRef&, const BackendRef&) = default;
};

struct Timeouts {
  std::optional<Duration> request;          // the whole exchange with its retries; zero: none
  std::optional<Duration> backend_request;  // one attempt; zero: none
  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

struct Retry {
  std::vector<uint16_t> codes;       // besides connection errors
  std::optional<uint32_t> attempts;  // further attempts; absent: the default; zero: no retries
  std::optional<Duration> backoff;   // the least gap between attempts
  friend bool operator==(const Retry&, const Retry&) = default;
};

struct HttpRule {
  std::string name;
  std::vector<HttpMatch> matches;  // never empty: the default is PathPrefix "/"
  Filters filters;
  std::vector<BackendRef> backend_refs;  // empty without a redirect: every request gets a 500
  Timeouts timeouts;
  std::optional<Retry> retry;  // absent: the mesh's defaults
  friend bool operator==(const HttpRule&, const HttpRule&) = default;
};

struct HttpRouteSpec {
  std::vector<ParentRef> parent_refs;  // at least one
  std::vector<HttpRule> rules;         // never empty
  friend bool operator==(const HttpRouteSpec&, const HttpRouteSpec&) = default;
};

// ---- the document ---------------------------------------------------------------------------

// What a document is found by.
struct Key {
  Kind kind = Kind::service;
  std::string namespace_name;
  std::string name;
  friend auto operator<=>(const Key&, const Key&) = default;
};
std::string to_string(const Key& key);  // `HTTPRoute "default/kitchen"`: for messages

struct Document {
  Metadata metadata;
  std::variant<ServiceSpec, WorkloadSpec, HttpRouteSpec> spec;

  Kind kind() const { return static_cast<Kind>(spec.index()); }
  Key key() const { return {kind(), metadata.namespace_name, metadata.name}; }
  const ServiceSpec& service() const { return std::get<ServiceSpec>(spec); }
  const WorkloadSpec& workload() const { return std::get<WorkloadSpec>(spec); }
  const HttpRouteSpec& http_route() const { return std::get<HttpRouteSpec>(spec); }
  friend bool operator==(const Document&, const Document&) = default;
};

// Immutable once it is shared.
using DocumentPtr = std::shared_ptr<const Document>;

}  // namespace tulle::model
