// Isolation: an isolated mesh as plain values: which network namespaces there are, how they are
// joined, who has which address and name. Pure.
//
// One namespace, the hub, holds a bridge and the control plane. Every instance has one of its own,
// with a link to the bridge, a default route there (so that whatever it calls leaves, and is
// captured on the way out) and the rules of cli/intercept. Nothing leads to the machine's network.
#pragma once

#include <string>
#include <vector>

#include "cli/file/mesh_file.hpp"
#include "cli/intercept/interception.hpp"
#include "cli/intercept/program.hpp"
#include "cli/isolate/private_range.hpp"

namespace tulle::cli {

// An instance's place.
struct Site {
  std::string instance;           // "kitchen-1"
  std::string network_namespace;  // "tulle-4711-1"
  std::string address4, address6;
};

struct VirtualAddress {
  std::string service;
  std::string address4, address6;
};

struct Isolation {
  std::string hub;                // "tulle-4711-0"
  std::string gateway4, gateway6;
  bool ipv6 = true;               // this machine has it: every address is there twice
  bool prefers_ipv6 = false;      // instances reach each other over IPv6
  std::vector<Site> sites;                  // in the order of the plan's instances
  std::vector<VirtualAddress> services;     // in the order of the file
  Interception interception;      // in each site

  const std::string& address_of(const Site& site) const {
    return prefers_ipv6 ? site.address6 : site.address4;
  }
};

inline constexpr uint32_t kSidecarUser = 2102;
// Where a sidecar finds the folder that it may write to, whatever the machine's folders are called
// and whoever may enter them.
inline constexpr std::string_view kSidecarDirectory = "/run/tulle";

Isolation make_isolation(const MeshFile& file, const PrivateRange& range, int process, bool ipv6,
                         bool prefers_ipv6);

// What is run to make the namespaces and links; interception comes after it, in each site.
std::vector<Program> construction(const Isolation& isolation);
// Takes all of it away: the links go with their namespaces.
Program demolition(const std::vector<std::string>& namespaces);
std::vector<std::string> namespaces_of(const Isolation& isolation);

// A site's /etc/hosts: Services by their virtual addresses, instances by their own.
std::string hosts_file(const Isolation& isolation);
// Nobody answers questions about names there. Asking this machine's own loopback fails at once.
inline constexpr std::string_view kResolverFile =
    "# Names of the mesh are in /etc/hosts; nobody is asked for others.\n"
    "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

// What would send an application past its mesh, or nowhere: not passed on.
inline constexpr const char* kProxyVariables[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                                  "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

// "tulle-4711-3" was made by process 4711. Zero: it is none of ours.
int maker_of(std::string_view network_namespace);

}  // namespace tulle::cli
