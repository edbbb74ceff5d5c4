#include "cli/intercept/iptables_rules.hpp"

#include <algorithm>
#include <array>

#include "core/base/assert.hpp"

namespace tulle::cli {
namespace {

struct Chain {
  std::string_view table;
  std::string_view name;
  std::string_view hook;
  enum class Content : uint8_t { redirect_inbound, redirect_outbound, invalid, divert_inbound, divert_replies };
  Content content;
};

constexpr std::array<Chain, 5> kChains = {{
    {"nat", "TULLE_INBOUND", "PREROUTING", Chain::Content::redirect_inbound},
    {"nat", "TULLE_OUTBOUND", "OUTPUT", Chain::Content::redirect_outbound},
    {"mangle", "TULLE_INVALID", "PREROUTING", Chain::Content::invalid},
    {"mangle", "TULLE_DIVERT", "PREROUTING", Chain::Content::divert_inbound},
    {"mangle", "TULLE_REPLIES", "OUTPUT", Chain::Content::divert_replies},
}};
constexpr std::array<std::string_view, 2> kTables = {"nat", "mangle"};
// A multiport match takes 15 ports, and a range counts as two.
constexpr size_t kPortsOfARule = 15;

std::string jump(const Chain& chain) {
  return std::string(chain.hook) + " -p tcp -j " + std::string(chain.name);
}

// Calls visit(table, line) for every line of what iptables-save has printed.
template <class Visit>
void for_each_line(std::string_view saved, Visit visit) {
  std::string_view table;
  while (!saved.empty()) {
    const size_t end = saved.find('\n');
    const std::string_view line = saved.substr(0, end);
    saved.remove_prefix(end == std::string_view::npos ? saved.size() : end + 1);
    if (line.starts_with('*')) table = line.substr(1);
    visit(table, line);
  }
}

bool is_there(std::string_view saved, std::string_view in_table, const std::string& wanted) {
  bool found = false;
  for_each_line(saved, [&](std::string_view table, std::string_view line) {
    found = found || (table == in_table && line.starts_with(wanted));
  });
  return found;
}

bool chain_is_there(std::string_view saved, const Chain& chain) {
  return is_there(saved, chain.table, ":" + std::string(chain.name) + " ");
}

// Every jump of ours, however often it is there.
std::string without_jumps(std::string_view saved, std::string_view of_table) {
  std::string text;
  for (const Chain& chain : kChains) {
    if (chain.table != of_table) continue;
    for_each_line(saved, [&](std::string_view table, std::string_view line) {
      if (table == of_table && line == "-A " + jump(chain)) text += "-D " + jump(chain) + "\n";
    });
  }
  return text;
}

std::vector<std::string> port_lists(const std::vector<PortRange>& ranges) {
  std::vector<std::string> lists;
  size_t used = kPortsOfARule;
  for (const PortRange& range : ranges) {
    const size_t costs = range.first == range.last ? 1 : 2;
    if (used + costs > kPortsOfARule) {
      lists.emplace_back();
      used = 0;
    }
    if (!lists.back().empty()) lists.back() += ",";
    lists.back() += to_string(range, ':');
    used += costs;
  }
  return lists;
}

class Rules {
 public:
  Rules(const Interception& wanted, bool ipv6) : wanted_(wanted), ipv6_(ipv6) {}

  std::string of(const Chain& chain) {
    chain_ = chain.name;
    text_.clear();
    switch (chain.content) {
      case Chain::Content::redirect_inbound: redirect_inbound(); break;
      case Chain::Content::redirect_outbound: redirect_outbound(); break;
      case Chain::Content::invalid: add("-m conntrack --ctstate INVALID -j DROP"); break;
      case Chain::Content::divert_inbound: divert_inbound(); break;
      case Chain::Content::divert_replies: divert_replies(); break;
    }
    return std::move(text_);
  }

  bool wants(const Chain& chain) const {
    const bool tproxy = wanted_.mode == Interception::Mode::tproxy;
    switch (chain.content) {
      case Chain::Content::redirect_inbound: return !tproxy;
      case Chain::Content::redirect_outbound: return true;
      case Chain::Content::invalid: return wanted_.drop_invalid;
      case Chain::Content::divert_inbound:
      case Chain::Content::divert_replies: return tproxy;
    }
    UNREACHABLE();
  }

 private:
  void add(const std::string& rule) { text_ += "-A " + std::string(chain_) + " " + rule + "\n"; }

  void add_ports(const std::vector<PortRange>& ranges, const std::string& verdict) {
    for (const std::string& list : port_lists(ranges)) {
      add("-p tcp -m multiport --dports " + list + " " + verdict);
    }
  }

  void add_owners(const std::string& before, const std::string& verdict) {
    for (const uint32_t user : wanted_.proxy_users) {
      add(before + "-m owner --uid-owner " + std::to_string(user) + " " + verdict);
    }
    for (const uint32_t group : wanted_.proxy_groups) {
      add(before + "-m owner --gid-owner " + std::to_string(group) + " " + verdict);
    }
  }

  void add_ranges(const std::vector<AddressRange>& ranges, const std::string& verdict) {
    for (const AddressRange& range : ranges) {
      if (range.ipv6 == ipv6_) add("-d " + range.text + " " + verdict);
    }
  }

  static std::string redirect_to(uint16_t port) {
    return "-p tcp -j REDIRECT --to-ports " + std::to_string(port);
  }

  // `taken` is what happens to the rest; with included ports it is said for each of them.
  void inbound(const std::string& taken) {
    for (const std::string& name : wanted_.excluded_interfaces) add("-i " + name + " -j RETURN");
    add_ports({kOwnPorts, {wanted_.inbound_port, wanted_.inbound_port},
               {wanted_.outbound_port, wanted_.outbound_port}}, "-j RETURN");
    add_ports(wanted_.excluded_inbound, "-j RETURN");
    if (wanted_.included_inbound.empty()) return add("-p tcp " + taken);
    add_ports(wanted_.included_inbound, taken);
  }

  void redirect_inbound() {
    inbound("-j REDIRECT --to-ports " + std::to_string(wanted_.inbound_port));
  }

  void divert_inbound() {
    const std::string mark = std::to_string(kTransparentMark);
    add("-i lo -m connmark --mark " + mark + " -m conntrack --ctdir REPLY -j MARK --set-mark " + mark);
    add("-i lo -j RETURN");
    // Answers to what was called from here: TPROXY would drop them, they have another socket.
    add("-m conntrack --ctdir REPLY -j RETURN");
    add("-m addrtype ! --dst-type LOCAL -j RETURN");
    add("-p tcp -m socket --transparent -j MARK --set-mark " + mark);
    add("-m mark --mark " + mark + " -j ACCEPT");
    inbound("-j TPROXY --on-port " + std::to_string(wanted_.inbound_port) + " --tproxy-mark " + mark);
  }

  void divert_replies() {
    const std::string mark = std::to_string(kTransparentMark);
    add_owners("-o lo -m addrtype ! --src-type LOCAL ", "-j CONNMARK --set-mark " + mark);
    add("-m conntrack --ctdir REPLY -m connmark --mark " + mark + " -j MARK --set-mark " + mark);
  }

  void redirect_outbound() {
    const std::string_view delivery = ipv6_ ? kDeliveryAddress6 : kDeliveryAddress;
    const std::string loopback = ipv6_ ? "::1/128" : "127.0.0.0/8";
    add("-o lo -s " + std::string(delivery) + " -j RETURN");
    if (wanted_.mode == Interception::Mode::tproxy) {
      add("-o lo -m addrtype ! --src-type LOCAL -j RETURN");
    }
    add_owners("-o lo ! -d " + loopback + " ", redirect_to(wanted_.inbound_port));
    add("-o lo -j RETURN");
    add_owners("", "-j RETURN");
    for (const uint32_t user : wanted_.excluded_users) {
      add("-m owner --uid-owner " + std::to_string(user) + " -j RETURN");
    }
    add_ports(wanted_.excluded_outbound, "-j RETURN");
    add("-d " + loopback + " -j RETURN");
    add_ranges(wanted_.excluded_outbound_ranges, "-j RETURN");
    if (wanted_.included_outbound.empty()) {
      add(redirect_to(wanted_.outbound_port));
    } else {
      add_ranges(wanted_.included_outbound, redirect_to(wanted_.outbound_port));
    }
  }

  const Interception& wanted_;
  const bool ipv6_;
  std::string_view chain_;
  std::string text_;
};

// What a table becomes: jumps and chains that are there make room for those that are wanted.
std::string table_script(std::string_view table, std::string_view saved, Rules* rules) {
  std::string chains;
  std::string unwanted;
  std::string wanted;
  for (const Chain& chain : kChains) {
    if (chain.table != table) continue;
    const std::string name(chain.name);
    if (rules != nullptr && rules->wants(chain)) {
      chains += ":" + name + " - [0:0]\n";
      wanted += rules->of(chain) + "-A " + jump(chain) + "\n";
    } else if (chain_is_there(saved, chain)) {
      unwanted += "-F " + name + "\n-X " + name + "\n";
    }
  }
  const std::string body = chains + without_jumps(saved, table) + unwanted + wanted;
  return body.empty() ? "" : "*" + std::string(table) + "\n" + body + "COMMIT\n";
}

}  // namespace

std::string iptables_script(const Interception& wanted, bool ipv6, std::string_view saved) {
  Rules rules(wanted, ipv6);
  std::string script;
  for (const std::string_view table : kTables) script += table_script(table, saved, &rules);
  return script;
}

std::string iptables_removal(std::string_view saved) {
  std::string script;
  for (const std::string_view table : kTables) script += table_script(table, saved, nullptr);
  return script;
}

std::string iptables_rules_of(std::string_view saved) {
  std::string ours;
  std::string_view shown_table;
  for_each_line(saved, [&](std::string_view table, std::string_view line) {
    const bool relevant = !line.starts_with('#') && line.find("TULLE_") != std::string_view::npos;
    if (!relevant) return;
    if (table != shown_table) ours += "*" + std::string(table) + "\n";
    shown_table = table;
    ours += line.substr(0, line.starts_with(':') ? line.find(" [") : line.size());
    ours += "\n";
  });
  return ours;
}

}  // namespace tulle::cli
