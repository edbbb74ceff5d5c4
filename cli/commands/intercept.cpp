#include <stdio.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "cli/commands/commands.hpp"
#include "cli/intercept/backend.hpp"
#include "cli/render/palette.hpp"

namespace tulle::cli {
namespace {

constexpr const char* kLeftAlone = "UDP is left alone, and DNS with it; so is what was connected before.";

// Keeps the first problem of each option, so that a person sees all of them at once.
template <class Value>
void take(const char* option, Result<Value> parsed, Value& into, std::vector<std::string>& problems) {
  if (parsed) {
    into = std::move(*parsed);
  } else {
    problems.push_back(std::string(option) + ": " + parsed.error().detail);
  }
}

std::vector<std::string> read_options(const InterceptOptions& options, Interception& wanted) {
  std::vector<std::string> problems;
  wanted.mode = options.tproxy ? Interception::Mode::tproxy : Interception::Mode::redirect;
  wanted.inbound_port = options.inbound_port;
  wanted.outbound_port = options.outbound_port;
  wanted.drop_invalid = options.drop_invalid;
  wanted.ipv6 = options.ipv6 == "on" || (options.ipv6 == "auto" && has_ipv6());
  take("--proxy-user", parse_users(options.proxy_users), wanted.proxy_users, problems);
  take("--proxy-group", parse_groups(options.proxy_groups), wanted.proxy_groups, problems);
  take("--exclude-user", parse_users(options.excluded_users), wanted.excluded_users, problems);
  take("--include-inbound-ports", parse_ports(options.included_inbound), wanted.included_inbound, problems);
  take("--exclude-inbound-ports", parse_ports(options.excluded_inbound), wanted.excluded_inbound, problems);
  take("--exclude-outbound-ports", parse_ports(options.excluded_outbound), wanted.excluded_outbound, problems);
  take("--include-outbound-ranges", parse_ranges(options.included_ranges), wanted.included_outbound, problems);
  take("--exclude-outbound-ranges", parse_ranges(options.excluded_ranges), wanted.excluded_outbound_ranges,
       problems);
  take("--exclude-interfaces", parse_interfaces(options.excluded_interfaces), wanted.excluded_interfaces, problems);
  for (std::string& problem : problems_of(wanted)) problems.push_back(std::move(problem));
  return problems;
}

BackendKind backend_named(const std::string& name) {
  if (name == "nft") return BackendKind::nft;
  return name == "iptables" ? BackendKind::iptables : BackendKind::automatic;
}

int complain_all(const std::vector<std::string>& problems) {
  std::string text = problems.front();
  for (size_t at = 1; at < problems.size(); ++at) text += "\n  " + problems[at];
  return complain(text, kUsage);
}

void summarize(const Interception& wanted, BackendKind backend, bool same) {
  const bool tproxy = wanted.mode == Interception::Mode::tproxy;
  ::printf("%s: TCP in goes to port %u, TCP out to port %u (%s, %s, %s)\n",
           same ? "already in place" : "installed", wanted.inbound_port, wanted.outbound_port,
           tproxy ? "tproxy" : "redirect", backend == BackendKind::nft ? "nft" : "iptables",
           wanted.ipv6 ? "IPv4 and IPv6" : "IPv4 only");
  ::printf("%s\n", kLeftAlone);
  ::printf("See it with 'tulle intercept show', take it away with 'tulle intercept remove'.\n");
}

// Removal first when the steps fail half-way: rules that point nowhere would cut the instance off.
Result<void> perform_or_undo(const std::vector<Step>& steps, const Installed& before) {
  Result<void> done = perform(steps);
  if (done || before.anything()) return done;
  const Result<Installed> half = read_installed();
  if (!half) return done;
  const Result<std::vector<Step>> undo = removal(*half);
  if (undo) (void)perform(*undo);
  return done;
}

}  // namespace

int intercept_install(const InterceptOptions& options) {
  Interception wanted;
  const std::vector<std::string> problems = read_options(options, wanted);
  if (!problems.empty()) return complain_all(problems);
  const Result<BackendKind> backend = choose_backend(backend_named(options.backend));
  if (!backend) return complain(backend.error().detail, kFailed);
  const Result<Installed> before = read_installed();
  if (!before) return complain(before.error().detail, kFailed);
  const Result<std::vector<Step>> steps = installation(*backend, wanted, *before);
  if (!steps) return complain(steps.error().detail, kFailed);
  if (options.dry_run) {
    ::fputs(describe(*steps).c_str(), stdout);
    return kDone;
  }
  const Result<void> done = perform_or_undo(*steps, *before);
  if (!done) return complain(done.error().detail, kFailed);
  const Result<Installed> after = read_installed();
  if (!after || !after->rules()) return complain("the rules were loaded, but are not there", kFailed);
  summarize(wanted, *backend, *before == *after);
  return kDone;
}

int intercept_show(const InterceptOptions& options) {
  const Result<Installed> found = read_installed();
  if (!found) return complain(found.error().detail, kFailed);
  if (options.format == Format::json) {
    const nlohmann::ordered_json shown = {{"installed", found->rules()},
                                          {"nft", found->nft},
                                          {"iptables", found->iptables},
                                          {"ip6tables", found->ip6tables},
                                          {"deliveryAddressIPv6", found->delivery_address6},
                                          {"transparentRouting", found->routes4 || found->routes6}};
    ::printf("%s\n", shown.dump(2).c_str());
    return kDone;
  }
  if (!found->rules()) {
    ::printf("nothing is intercepted in this network namespace\n");
    return kDone;
  }
  const Palette palette = Palette::of(STDOUT_FILENO);
  const std::pair<const char*, const std::string&> parts[] = {
      {"nft", found->nft}, {"iptables", found->iptables}, {"ip6tables", found->ip6tables}};
  for (const auto& [name, rules] : parts) {
    if (!rules.empty()) ::printf("%s\n%s", palette.bold(name).c_str(), rules.c_str());
  }
  if (found->delivery_address6) ::printf("address %s on lo\n", std::string(kDeliveryAddress6).c_str());
  if (found->routes4 || found->routes6) {
    ::printf("routing table %u keeps marked packets here\n", kTransparentTable);
  }
  return kDone;
}

int intercept_remove(const InterceptOptions& options) {
  const Result<Installed> found = read_installed();
  if (!found) return complain(found.error().detail, kFailed);
  const Result<std::vector<Step>> steps = removal(*found);
  if (!steps) return complain(steps.error().detail, kFailed);
  if (options.dry_run) {
    ::fputs(describe(*steps).c_str(), stdout);
    return kDone;
  }
  const Result<void> done = perform(*steps);
  if (!done) return complain(done.error().detail, kFailed);
  ::printf(found->anything() ? "removed: nothing is intercepted any more\n" : "there was nothing to remove\n");
  return kDone;
}

}  // namespace tulle::cli
