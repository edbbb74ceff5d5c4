#include "cli/isolate/isolation.hpp"

#include <charconv>

namespace tulle::cli {
namespace {

constexpr std::string_view kPrefix = "tulle-";

std::string namespace_name(int process, size_t number) {
  return std::string(kPrefix) + std::to_string(process) + "-" + std::to_string(number);
}

std::string slash(const std::string& address, unsigned prefix) {
  return address + "/" + std::to_string(prefix);
}

// Many orders in one run of `ip`.
Program batch(std::vector<std::string> options, std::string lines) {
  std::vector<std::string> command = {"ip"};
  for (std::string& option : options) command.push_back(std::move(option));
  command.insert(command.end(), {"-batch", "-"});
  return {std::move(command), std::move(lines)};
}

std::string port_name(size_t site) { return "port" + std::to_string(site + 1); }

std::string hub_lines(const Isolation& isolation) {
  std::string lines =
      "link set lo up\n"
      "link add bridge0 type bridge\n"
      "address add " + slash(isolation.gateway4, PrivateRange::kInstancePrefix4) + " dev bridge0\n";
  if (isolation.ipv6) {
    lines += "address add " + slash(isolation.gateway6, PrivateRange::kInstancePrefix6) +
             " dev bridge0 nodad\n";
  }
  lines += "link set bridge0 up\n";
  for (size_t i = 0; i < isolation.sites.size(); ++i) {
    const std::string port = port_name(i);
    lines += "link add " + port + " type veth peer name eth0 netns " +
             isolation.sites[i].network_namespace + "\n" +
             "link set " + port + " master bridge0\n" +
             "link set " + port + " up\n";
  }
  return lines;
}

// Duplicate address detection would keep an address unusable for a second, and nobody else is here.
std::string site_lines(const Isolation& isolation, const Site& site) {
  std::string lines =
      "link set lo up\n"
      "address add " + slash(site.address4, PrivateRange::kInstancePrefix4) + " dev eth0\n";
  if (isolation.ipv6) {
    lines += "address add " + slash(site.address6, PrivateRange::kInstancePrefix6) + " dev eth0 nodad\n";
  }
  lines += "link set eth0 up\nroute add default via " + isolation.gateway4 + "\n";
  if (isolation.ipv6) lines += "route add ::/0 via " + isolation.gateway6 + " dev eth0\n";
  return lines;
}

}  // namespace

Isolation make_isolation(const MeshFile& file, const PrivateRange& range, int process, bool ipv6,
                         bool prefers_ipv6) {
  Isolation made;
  made.hub = namespace_name(process, 0);
  made.gateway4 = range.gateway4();
  made.gateway6 = range.gateway6();
  made.ipv6 = ipv6;
  made.prefers_ipv6 = prefers_ipv6;
  made.interception.ipv6 = ipv6;
  made.interception.proxy_users = {kSidecarUser};
  for (const ServiceGroup& group : file.groups) {
    for (unsigned number = 1; number <= group.replicas; ++number) {
      const auto index = static_cast<unsigned>(made.sites.size());
      made.sites.push_back({group.name + "-" + std::to_string(number),
                            namespace_name(process, index + 1), range.instance4(index),
                            range.instance6(index)});
    }
  }
  for (const std::string& service : file.services()) {
    const auto index = static_cast<unsigned>(made.services.size());
    made.services.push_back({service, range.service4(index), range.service6(index)});
  }
  return made;
}

std::vector<std::string> namespaces_of(const Isolation& isolation) {
  std::vector<std::string> names = {isolation.hub};
  for (const Site& site : isolation.sites) names.push_back(site.network_namespace);
  return names;
}

std::vector<Program> construction(const Isolation& isolation) {
  std::string additions;
  for (const std::string& name : namespaces_of(isolation)) additions += "netns add " + name + "\n";
  std::vector<Program> programs = {batch({}, std::move(additions)),
                                   batch({"-n", isolation.hub}, hub_lines(isolation))};
  for (const Site& site : isolation.sites) {
    programs.push_back(batch({"-n", site.network_namespace}, site_lines(isolation, site)));
  }
  return programs;
}

Program demolition(const std::vector<std::string>& namespaces) {
  std::string lines;
  for (const std::string& name : namespaces) lines += "netns del " + name + "\n";
  return batch({"-force"}, std::move(lines));
}

std::string hosts_file(const Isolation& isolation) {
  std::string text =
      "# Made by tulle up --isolate.\n"
      "127.0.0.1 localhost\n"
      "::1 localhost ip6-localhost ip6-loopback\n";
  const auto add = [&](const std::string& address4, const std::string& address6, const std::string& names) {
    text += address4 + " " + names + "\n";
    if (isolation.ipv6) text += address6 + " " + names + "\n";
  };
  for (const VirtualAddress& one : isolation.services) {
    const std::string full = one.service + ".default.svc";
    add(one.address4, one.address6,
        one.service + " " + one.service + ".default " + full + " " + full + ".cluster.local");
  }
  // An instance is known to the mesh by one address: its other one would lead past the mesh.
  for (const Site& site : isolation.sites) text += isolation.address_of(site) + " " + site.instance + "\n";
  return text;
}

int maker_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) return 0;
  name.remove_prefix(kPrefix.size());
  int process = 0;
  unsigned number = 0;
  const char* end = name.data() + name.size();
  const auto first = std::from_chars(name.data(), end, process);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-' || process <= 0) return 0;
  const auto second = std::from_chars(first.ptr + 1, end, number);
  return second.ec == std::errc() && second.ptr == end ? process : 0;
}

}  // namespace tulle::cli
