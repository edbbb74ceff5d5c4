// Backend: how rules get into the kernel and out of it: nft, or iptables with ip6tables.
//
// Each operation is a list of Steps, made from what is there now, so that it can be shown instead of
// done, and done twice with the same result. Works on the network namespace of this process.
#pragma once

#include <string>
#include <vector>

#include "cli/intercept/interception.hpp"
#include "cli/intercept/program.hpp"

namespace tulle::cli {

enum class BackendKind : uint8_t { automatic, nft, iptables };

struct Step {
  Program program;
  std::string why;  // for people: what it is for
};

// What is installed. Rules are as the program of the backend spells them.
struct Installed {
  std::string nft;
  std::string iptables;
  std::string ip6tables;
  bool rules() const { return !nft.empty() || !iptables.empty() || !ip6tables.empty(); }
  bool delivery_address6 = false;  // ::6 on lo
  bool routes4 = false;            // TPROXY: rule and local table
  bool routes6 = false;
  bool anything() const { return rules() || delivery_address6 || routes4 || routes6; }
  friend bool operator==(const Installed&, const Installed&) = default;
};

// Errors say which program is missing or what the kernel lacks.
Result<BackendKind> choose_backend(BackendKind wanted);
Result<Installed> read_installed();
// The backend is not `automatic`.
Result<std::vector<Step>> installation(BackendKind backend, const Interception& wanted,
                                       const Installed& present);
Result<std::vector<Step>> removal(const Installed& present);
Result<void> perform(const std::vector<Step>& steps);
std::string describe(const std::vector<Step>& steps);  // as a shell would take them

// IPv6 is usable in this network namespace.
bool has_ipv6();

}  // namespace tulle::cli
