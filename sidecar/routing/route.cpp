#include "sidecar/routing/route.hpp"

#include "core/http/grpc_status.hpp"
#include "sidecar/routing/authority.hpp"

namespace tulle::routing {

namespace {

// `path` with what the route matched replaced. Whole segments stay whole: "/a" to "/" turns
// "/a/b" into "/b", not "//b".
std::string replace_matched(const PathMatch& match, std::string_view path,
                            std::string_view replacement) {
  std::string_view rest = path.substr(match.matched_size(path));
  if (match.whole_segments && replacement.ends_with('/') && rest.starts_with('/')) {
    rest.remove_prefix(1);
  }
  std::string out(replacement);
  out.append(rest);
  if (!out.starts_with('/')) out.insert(out.begin(), '/');
  return out;
}

void append_query(std::string& path, std::string_view query) {
  if (query.empty()) return;
  path.push_back('?');
  path.append(query);
}

// Without a host of its own a redirect keeps the request's port, except where it would name the
// default port of the scheme that was left.
void append_authority(std::string& location, const Redirect& redirect, const RequestView& request,
                      std::string_view scheme) {
  const auto [host, port] = split_authority(request.authority);
  location.append(redirect.host.empty() ? host : std::string_view(redirect.host));
  if (redirect.port != 0) {
    const std::string number = std::to_string(redirect.port);
    if (number != default_port(scheme)) location.append(":").append(number);
    return;
  }
  const bool stale = scheme != request.scheme && port == default_port(request.scheme);
  if (redirect.host.empty() && !port.empty() && !stale) location.append(":").append(port);
}

}  // namespace

bool PathMatch::matches(std::string_view path) const {
  // "OPTIONS *" asks the server as a whole, so it goes where everything goes.
  if (!text.matches(path)) return path == "*" && text.kind == StringMatch::Kind::prefix && text.text == "/";
  return !whole_segments || path.size() == text.text.size() || path[text.text.size()] == '/';
}

size_t PathMatch::matched_size(std::string_view path) const {
  return text.kind == StringMatch::Kind::prefix ? text.text.size() : path.size();
}

bool RouteMatch::matches(const RequestView& request, SplitPath split, uint64_t random) const {
  if (connect_only != request.path.empty() || !path.matches(split.path)) return false;
  for (const FieldMatch& field : fields) {
    if (!field.matches(request)) return false;
  }
  for (const QueryMatch& parameter : query) {
    if (!parameter.matches(split.query)) return false;
  }
  if (grpc_only && !is_grpc(*request.fields)) return false;
  // The upper half decides shares, the lower one weights, so that the two are independent.
  return !fraction || (random >> 32) % fraction->denominator < fraction->numerator;
}

const Target& Forward::pick(uint64_t random) const {
  if (targets.size() == 1) return targets.front();
  uint64_t at = (random & 0xffffffff) % total_weight;
  for (const Target& target : targets) {
    if (at < target.weight) return target;
    at -= target.weight;
  }
  return targets.back();
}

std::string rewritten_path(const Route& route, const Forward& forward, std::string_view path) {
  if (path == "*" || (!forward.prefix_rewrite && !forward.path_rewrite)) return std::string(path);
  const SplitPath split = split_path(path);
  std::string out = forward.path_rewrite
                        ? *forward.path_rewrite
                        : replace_matched(route.match.path, split.path, *forward.prefix_rewrite);
  append_query(out, split.query);
  return out;
}

std::string redirect_location(const Route& route, const Redirect& redirect,
                              const RequestView& request) {
  const std::string_view scheme =
      redirect.scheme.empty() ? request.scheme : std::string_view(redirect.scheme);
  const SplitPath split = split_path(request.path == "*" ? std::string_view("/") : request.path);
  std::string location(scheme);
  location.append("://");
  append_authority(location, redirect, request, scheme);
  bool keep_query = !redirect.strip_query;
  if (redirect.path) {
    location.append(*redirect.path);
    if (redirect.path->find('?') != std::string::npos) keep_query = false;
  } else if (redirect.prefix) {
    location.append(replace_matched(route.match.path, split.path, *redirect.prefix));
  } else {
    location.append(split.path);
  }
  if (keep_query) append_query(location, split.query);
  return location;
}

}  // namespace tulle::routing
