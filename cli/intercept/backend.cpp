#include "cli/intercept/backend.hpp"

#include <fstream>

#include "cli/intercept/iptables_rules.hpp"
#include "cli/intercept/nft_rules.hpp"

namespace tulle::cli {
namespace {

std::string table_number() { return std::to_string(kTransparentTable); }
std::string mark_number() { return std::to_string(kTransparentMark); }
std::string family_option(bool ipv6) { return ipv6 ? "-6" : "-4"; }

// What a program prints; nothing when it is not there or has nothing to say.
std::string output_of(const std::vector<std::string>& command) {
  const Result<ProgramEnd> end = run_program({command, ""});
  return end && end->clean() ? end->output : "";
}

std::string saved_rules(bool ipv6) {
  return output_of({ipv6 ? "ip6tables-save" : "iptables-save"});
}

bool has_route(bool ipv6) {
  return !output_of({"ip", family_option(ipv6), "rule", "show", "fwmark", mark_number(), "table",
                     table_number()}).empty();
}

// The sidecar delivers from ::6, which has to be an address of this namespace. IPv4 needs nothing:
// all of 127.0.0.0/8 is.
void add_delivery_address(bool wanted, bool present, std::vector<Step>& steps) {
  if (wanted == present) return;
  steps.push_back({{{"ip", "-6", "address", wanted ? "add" : "del", std::string(kDeliveryAddress6) + "/128",
                     "dev", "lo"}, ""},
                   "the address that the sidecar delivers from over IPv6"});
}

void add_routes(bool ipv6, bool wanted, bool present, std::vector<Step>& steps) {
  if (wanted == present) return;
  const std::string family = family_option(ipv6);
  const char* verb = wanted ? "add" : "del";
  steps.push_back({{{"ip", family, "rule", verb, "fwmark", mark_number(), "lookup", table_number()}, ""},
                   "marked packets stay on this machine"});
  steps.push_back({{{"ip", family, "route", verb, "local", "default", "dev", "lo", "table", table_number()}, ""},
                   "... by this routing table"});
}

void remove_rules(const Installed& present, bool nft_stays, bool iptables_stays, std::vector<Step>& steps) {
  if (!nft_stays && !present.nft.empty()) {
    steps.push_back({{{"nft", "-f", "-"}, "delete table " + std::string(kNftTable) + "\n"}, "our table"});
  }
  if (iptables_stays) return;
  if (!present.iptables.empty()) {
    steps.push_back({{{"iptables-restore", "--noflush"}, iptables_removal(saved_rules(false))}, "our chains"});
  }
  if (!present.ip6tables.empty()) {
    steps.push_back({{{"ip6tables-restore", "--noflush"}, iptables_removal(saved_rules(true))}, "our chains, IPv6"});
  }
}

Error said_no(const Program& program, const ProgramEnd& end) {
  std::string name;
  for (const std::string& word : program.command) name += (name.empty() ? "" : " ") + word;
  std::string why = name + ": " + (end.complaint.empty() ? "exit status " + std::to_string(end.status) : end.complaint);
  if (why.find("ermission") != std::string::npos || why.find("not permitted") != std::string::npos) {
    why += "\n  CAP_NET_ADMIN is needed: run this as root";
  } else if (why.find("upported") != std::string::npos || why.find("No such file") != std::string::npos) {
    why += "\n  the kernel seems to lack a feature that these rules need; try the other --backend";
  }
  return {Code::io_error, Origin::local, why};
}

}  // namespace

Result<BackendKind> choose_backend(BackendKind wanted) {
  const bool nft = has_program("nft");
  const bool iptables = has_program("iptables-restore") && has_program("iptables-save");
  if (wanted == BackendKind::nft && !nft) {
    return Error{Code::not_found, Origin::local, "nft is not installed (package nftables); or use --backend iptables"};
  }
  if (wanted == BackendKind::iptables && !iptables) {
    return Error{Code::not_found, Origin::local, "iptables-restore is not installed (package iptables); or use --backend nft"};
  }
  if (wanted != BackendKind::automatic) return wanted;
  if (nft) return BackendKind::nft;
  if (iptables) return BackendKind::iptables;
  return Error{Code::not_found, Origin::local,
               "neither nft (package nftables) nor iptables (package iptables) is installed"};
}

bool has_ipv6() {
  // One line per address: an empty or missing file means that IPv6 is off.
  std::ifstream addresses("/proc/net/if_inet6");
  std::string line;
  return static_cast<bool>(std::getline(addresses, line));
}

Result<Installed> read_installed() {
  if (!has_program("nft") && !has_program("iptables-save")) {
    return Error{Code::not_found, Origin::local,
                 "neither nft (package nftables) nor iptables (package iptables) is installed"};
  }
  Installed found;
  found.nft = output_of({"nft", "list", "table", "inet", "tulle"});
  found.iptables = iptables_rules_of(saved_rules(false));
  found.ip6tables = iptables_rules_of(saved_rules(true));
  found.delivery_address6 =
      !output_of({"ip", "-6", "address", "show", "dev", "lo", "to", std::string(kDeliveryAddress6) + "/128"}).empty();
  found.routes4 = has_route(false);
  found.routes6 = has_route(true);
  return found;
}

Result<std::vector<Step>> installation(BackendKind backend, const Interception& wanted,
                                       const Installed& present) {
  if (!has_program("ip")) {
    return Error{Code::not_found, Origin::local, "ip is not installed (package iproute2)"};
  }
  const bool nft = backend == BackendKind::nft;
  const bool tproxy = wanted.mode == Interception::Mode::tproxy;
  std::vector<Step> steps;
  add_delivery_address(wanted.ipv6, present.delivery_address6, steps);
  add_routes(false, tproxy, present.routes4, steps);
  add_routes(true, tproxy && wanted.ipv6, present.routes6, steps);
  remove_rules(present, nft, !nft, steps);  // those of the other backend
  if (nft) {
    steps.push_back({{{"nft", "-f", "-"}, nft_script(wanted)}, "the rules, in one transaction"});
    return steps;
  }
  steps.push_back({{{"iptables-restore", "--noflush"}, iptables_script(wanted, false, saved_rules(false))},
                   "the rules for IPv4"});
  if (wanted.ipv6) {
    steps.push_back({{{"ip6tables-restore", "--noflush"}, iptables_script(wanted, true, saved_rules(true))},
                     "the rules for IPv6"});
  } else if (!present.ip6tables.empty()) {
    steps.push_back({{{"ip6tables-restore", "--noflush"}, iptables_removal(saved_rules(true))}, "IPv6 is off"});
  }
  return steps;
}

Result<std::vector<Step>> removal(const Installed& present) {
  std::vector<Step> steps;
  remove_rules(present, false, false, steps);  // first: nothing is intercepted without the rest
  add_delivery_address(false, present.delivery_address6, steps);
  add_routes(false, false, present.routes4, steps);
  add_routes(true, false, present.routes6, steps);
  return steps;
}

Result<void> perform(const std::vector<Step>& steps) {
  for (const Step& step : steps) {
    Result<ProgramEnd> end = run_program(step.program);
    if (!end) return end.error();
    if (!end->clean()) return said_no(step.program, *end);
  }
  return {};
}

std::string describe(const std::vector<Step>& steps) {
  std::string text;
  for (const Step& step : steps) {
    text += "# " + step.why + "\n";
    for (size_t at = 0; at < step.program.command.size(); ++at) {
      text += (at == 0 ? "" : " ") + step.program.command[at];
    }
    text += step.program.input.empty() ? "\n" : " <<'END'\n" + step.program.input + "END\n";
  }
  return text;
}

}  // namespace tulle::cli
