#include "cli/intercept/nft_rules.hpp"

#include <algorithm>

namespace tulle::cli {
namespace {

template <class Item, class Text>
std::string set_of(const std::vector<Item>& items, Text text) {
  std::string joined;
  for (const Item& item : items) {
    if (!joined.empty()) joined += ", ";
    joined += text(item);
  }
  return "{ " + joined + " }";
}

std::string ports(const std::vector<PortRange>& ranges) {
  return set_of(ranges, [](const PortRange& range) { return to_string(range, '-'); });
}

std::string ids(const std::vector<uint32_t>& numbers) {
  return set_of(numbers, [](uint32_t number) { return std::to_string(number); });
}

// Writes the lines of one table; every line is a rule of the chain that was opened last.
class Script {
 public:
  explicit Script(bool ipv6) : ipv6_(ipv6) {}

  void chain(std::string_view name, std::string_view hook) {
    close();
    text_ += "  chain " + std::string(name) + " {\n    " + std::string(hook) + " policy accept;\n";
    open_ = true;
  }
  void rule(const std::string& line) { text_ += "    " + line + "\n"; }
  // One rule for each family that has ranges. nft wants to know which of the two headers it reads.
  void ranges(const std::string& before, std::string_view field, const std::vector<AddressRange>& all,
              const std::string& operation, const std::string& verdict) {
    for (const bool ipv6 : {false, true}) {
      std::vector<AddressRange> some;
      std::copy_if(all.begin(), all.end(), std::back_inserter(some),
                   [ipv6](const AddressRange& range) { return range.ipv6 == ipv6; });
      if (some.empty() || (ipv6 && !ipv6_)) continue;
      rule(before + (ipv6 ? "ip6 " : "ip ") + std::string(field) + " " + operation +
           set_of(some, [](const AddressRange& range) { return range.text; }) + " " + verdict);
    }
  }
  void users(const std::string& before, const Interception& wanted, const std::string& verdict) {
    if (!wanted.proxy_users.empty()) rule(before + "meta skuid " + ids(wanted.proxy_users) + " " + verdict);
    if (!wanted.proxy_groups.empty()) rule(before + "meta skgid " + ids(wanted.proxy_groups) + " " + verdict);
  }
  std::string finish() {
    close();
    return std::move(text_);
  }

 private:
  void close() {
    if (open_) text_ += "  }\n";
    open_ = false;
  }
  const bool ipv6_;
  bool open_ = false;
  std::string text_;
};

std::string redirect_to(uint16_t port) {
  return "meta l4proto tcp redirect to :" + std::to_string(port);
}

// What is never taken on the way in, whatever the mode.
void inbound_exceptions(const Interception& wanted, Script& script) {
  script.rule("meta l4proto != tcp return");
  if (!wanted.ipv6) script.rule("meta nfproto ipv6 return");
  if (!wanted.excluded_interfaces.empty()) {
    script.rule("iifname " + set_of(wanted.excluded_interfaces,
                                    [](const std::string& name) { return '"' + name + '"'; }) + " return");
  }
  script.rule("tcp dport " + ports({kOwnPorts}) + " return");
  script.rule("tcp dport " + set_of(std::vector<uint16_t>{wanted.inbound_port, wanted.outbound_port},
                                    [](uint16_t port) { return std::to_string(port); }) + " return");
  if (!wanted.excluded_inbound.empty()) {
    script.rule("tcp dport " + ports(wanted.excluded_inbound) + " return");
  }
  if (!wanted.included_inbound.empty()) {
    script.rule("tcp dport != " + ports(wanted.included_inbound) + " return");
  }
}

void redirect_inbound(const Interception& wanted, Script& script) {
  script.chain("inbound", "type nat hook prerouting priority -100;");
  inbound_exceptions(wanted, script);
  script.rule(redirect_to(wanted.inbound_port));
}

// Packets keep their addresses: the kernel finds the sidecar's socket for them by the mark and the
// routing table. Replies of the application to the caller's address are held back in the same way.
void divert_inbound(const Interception& wanted, Script& script) {
  const std::string mark = std::to_string(kTransparentMark);
  script.chain("inbound", "type filter hook prerouting priority -150;");
  script.rule("meta l4proto tcp iifname \"lo\" ct mark " + mark + " ct direction reply meta mark set " + mark +
              " accept");
  script.rule("iifname \"lo\" return");
  script.rule("ct direction reply return");  // answers to what was called from here
  inbound_exceptions(wanted, script);
  script.rule("fib daddr type != local return");
  script.rule("socket transparent 1 meta mark set " + mark + " accept");
  for (const char* family : {"ip", "ip6"}) {
    const bool ipv6 = std::string_view(family) == "ip6";
    if (ipv6 && !wanted.ipv6) continue;
    script.rule(std::string("meta nfproto ") + (ipv6 ? "ipv6" : "ipv4") + " meta l4proto tcp tproxy " + family +
                " to :" + std::to_string(wanted.inbound_port) + " meta mark set " + mark + " accept");
  }
  script.chain("replies", "type route hook output priority -150;");
  script.rule("meta l4proto != tcp return");
  script.users("oifname \"lo\" fib saddr type != local ", wanted, "ct mark set " + mark + " return");
  script.rule("ct direction reply ct mark " + mark + " meta mark set " + mark);
}

// Order matters: what the sidecar delivers, then what it sends to its own instance, then everything
// that stays on this machine, then what is excluded. The rest is taken.
void redirect_outbound(const Interception& wanted, Script& script) {
  // The name "dstnat" for this priority is refused at the output hook by nft 1.0.
  script.chain("outbound", "type nat hook output priority -100;");
  script.rule("meta l4proto != tcp return");
  if (!wanted.ipv6) script.rule("meta nfproto ipv6 return");
  script.rule("oifname \"lo\" ip saddr " + std::string(kDeliveryAddress) + " return");
  if (wanted.ipv6) script.rule("oifname \"lo\" ip6 saddr " + std::string(kDeliveryAddress6) + " return");
  if (wanted.mode == Interception::Mode::tproxy) {
    script.rule("oifname \"lo\" fib saddr type != local return");
  }
  script.users("oifname \"lo\" ip daddr != 127.0.0.0/8 ", wanted, redirect_to(wanted.inbound_port));
  if (wanted.ipv6) {
    script.users("oifname \"lo\" ip6 daddr != ::1 ", wanted, redirect_to(wanted.inbound_port));
  }
  script.rule("oifname \"lo\" return");
  script.users("", wanted, "return");
  if (!wanted.excluded_users.empty()) script.rule("meta skuid " + ids(wanted.excluded_users) + " return");
  if (!wanted.excluded_outbound.empty()) {
    script.rule("tcp dport " + ports(wanted.excluded_outbound) + " return");
  }
  script.rule("ip daddr 127.0.0.0/8 return");
  if (wanted.ipv6) script.rule("ip6 daddr ::1 return");
  script.ranges("", "daddr", wanted.excluded_outbound_ranges, "", "return");
  if (!wanted.included_outbound.empty()) {
    script.ranges("", "daddr", wanted.included_outbound, "", redirect_to(wanted.outbound_port));
  } else {
    script.rule(redirect_to(wanted.outbound_port));
  }
}

}  // namespace

std::string nft_script(const Interception& wanted) {
  Script script(wanted.ipv6);
  if (wanted.mode == Interception::Mode::redirect) {
    redirect_inbound(wanted, script);
  } else {
    divert_inbound(wanted, script);
  }
  redirect_outbound(wanted, script);
  if (wanted.drop_invalid) {
    script.chain("invalid", "type filter hook prerouting priority -140;");
    script.rule("meta l4proto tcp ct state invalid drop");
  }
  const std::string table(kNftTable);
  return "add table " + table + "\ndelete table " + table + "\ntable " + table + " {\n" + script.finish() + "}\n";
}

}  // namespace tulle::cli
