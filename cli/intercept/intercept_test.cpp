#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/intercept/iptables_rules.hpp"
#include "cli/intercept/nft_rules.hpp"
#include "cli/intercept/program.hpp"

namespace tulle::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// The rules of one chain of an nft script, without indentation.
std::string chain_of(const std::string& script, const std::string& name) {
  const size_t begin = script.find("  chain " + name + " {");
  return begin == std::string::npos ? "" : script.substr(begin, script.find("  }\n", begin) - begin);
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Interception, ReadsPortsAndRanges) {
  EXPECT_THAT(parse_ports("22, 8000-8100,443").value(),
              ElementsAre(PortRange{22, 22}, PortRange{8000, 8100}, PortRange{443, 443}));
  EXPECT_TRUE(parse_ports("").value().empty());
  EXPECT_THAT(parse_ranges("10.1.2.3/8,192.168.0.1,FD00:1::1/16").value(),
              ElementsAre(AddressRange{false, "10.0.0.0/8"}, AddressRange{false, "192.168.0.1/32"},
                          AddressRange{true, "fd00::/16"}))
      << "in canonical form, or the kernel would show something else than was asked for";
  EXPECT_THAT(parse_interfaces("eth0,br-12.3").value(), ElementsAre("eth0", "br-12.3"));
  EXPECT_THAT(parse_users("2102,root").value(), ElementsAre(2102, 0));
}

TEST(Interception, RefusesWhatIsNotAPortARangeOrAName) {
  for (const char* ports : {"0", "65536", "80-70", "a", "80-", "-80", "80,,90", "80 90", "0x50"}) {
    EXPECT_FALSE(parse_ports(ports)) << ports;
  }
  for (const char* ranges : {"10.0.0.0/33", "10.0.0", "::1/129", "10.0.0.0/", "fe80::1%eth0", "10.0.0.0/8/8"}) {
    EXPECT_FALSE(parse_ranges(ranges)) << ranges;
  }
  // Names end up in scripts: nothing may end a rule or a string.
  for (const char* names : {"eth0\" accept", "a b", "a;b", "a{", "averyveryverylongname", ""}) {
    const Result<std::vector<std::string>> parsed = parse_interfaces(names);
    EXPECT_TRUE(!parsed || parsed->empty()) << names;
  }
  EXPECT_THAT(parse_users("no-such-user-here").error().detail, HasSubstr("no-such-user-here"));
}

TEST(Interception, TheSidecarNeverRunsAsRootOrAsNobodyInParticular) {
  Interception wanted;
  EXPECT_THAT(problems_of(wanted), ElementsAre());
  wanted.proxy_users = {0};
  EXPECT_THAT(problems_of(wanted), ElementsAre(HasSubstr("root")));
  wanted.proxy_users = {};
  EXPECT_THAT(problems_of(wanted), ElementsAre(HasSubstr("--proxy-user")));
  wanted.proxy_groups = {2102};
  EXPECT_THAT(problems_of(wanted), ElementsAre());
  wanted.outbound_port = wanted.inbound_port;
  EXPECT_THAT(problems_of(wanted), ElementsAre(HasSubstr("same")));
}

TEST(NftRules, OneTransactionThatCanBeLoadedTwice) {
  const std::string script = nft_script({});
  EXPECT_TRUE(script.starts_with("add table inet tulle\ndelete table inet tulle\ntable inet tulle {\n"));
  EXPECT_THAT(chain_of(script, "inbound"), HasSubstr("redirect to :15006"));
  EXPECT_THAT(chain_of(script, "outbound"), HasSubstr("redirect to :15001"));
  EXPECT_THAT(script, Not(HasSubstr("udp")));
}

TEST(NftRules, WhatTheSidecarDeliversComesBeforeWhatItCallsItself) {
  const std::string chain = chain_of(nft_script({}), "outbound");
  const size_t delivered = chain.find("ip saddr 127.0.0.6 return");
  const size_t own = chain.find("meta skuid { 2102 } meta l4proto tcp redirect to :15006");
  const size_t local = chain.find("oifname \"lo\" return");
  const size_t sidecar = chain.find("    meta skuid { 2102 } return");
  const size_t rest = chain.find("redirect to :15001");
  EXPECT_LT(delivered, own);
  EXPECT_LT(own, local);
  EXPECT_LT(local, sidecar);
  EXPECT_LT(sidecar, rest);
}

TEST(NftRules, ExclusionsAndInclusions) {
  Interception wanted;
  wanted.excluded_users = {33};
  wanted.excluded_inbound = {{22, 22}, {9000, 9100}};
  wanted.excluded_outbound = {{5432, 5432}};
  wanted.excluded_outbound_ranges = {{false, "10.0.0.0/8"}, {true, "fd00::/8"}};
  wanted.excluded_interfaces = {"docker0"};
  std::string script = nft_script(wanted);
  EXPECT_THAT(script, HasSubstr("tcp dport { 22, 9000-9100 } return"));
  EXPECT_THAT(script, HasSubstr("tcp dport { 5432 } return"));
  EXPECT_THAT(script, HasSubstr("meta skuid { 33 } return"));
  EXPECT_THAT(script, HasSubstr("ip daddr { 10.0.0.0/8 } return"));
  EXPECT_THAT(script, HasSubstr("ip6 daddr { fd00::/8 } return"));
  EXPECT_THAT(script, HasSubstr("iifname { \"docker0\" } return"));
  wanted.included_outbound = {{false, "10.9.0.0/16"}};
  script = nft_script(wanted);
  EXPECT_THAT(script, HasSubstr("ip daddr { 10.9.0.0/16 } meta l4proto tcp redirect to :15001"));
  EXPECT_EQ(count(script, "redirect to :15001"), 1U) << "only what is included";
  wanted.ipv6 = false;
  EXPECT_THAT(nft_script(wanted), Not(HasSubstr("ip6 daddr")));
}

TEST(NftRules, TproxyKeepsAddressesOnTheWayIn) {
  Interception wanted;
  wanted.mode = Interception::Mode::tproxy;
  const std::string script = nft_script(wanted);
  EXPECT_THAT(chain_of(script, "inbound"), HasSubstr("tproxy ip to :15006 meta mark set 1337"));
  EXPECT_THAT(chain_of(script, "inbound"), HasSubstr("tproxy ip6 to :15006"));
  EXPECT_THAT(chain_of(script, "replies"), HasSubstr("ct direction reply ct mark 1337"));
}

TEST(IptablesRules, JumpsThatAreThereAreReplacedNotRepeated) {
  const std::string first = iptables_script({}, false, "");
  EXPECT_EQ(count(first, "-A PREROUTING -p tcp -j TULLE_INBOUND\n"), 1U);
  EXPECT_EQ(count(first, "-D "), 0U);
  const std::string saved =
      "# Generated\n*nat\n:PREROUTING ACCEPT [0:0]\n:TULLE_INBOUND - [0:0]\n:TULLE_OUTBOUND - [0:0]\n"
      "-A PREROUTING -p tcp -j TULLE_INBOUND\n-A OUTPUT -p tcp -j TULLE_OUTBOUND\n"
      "-A PREROUTING -p tcp -j KUBE-SERVICES\nCOMMIT\n";
  const std::string second = iptables_script({}, false, saved);
  EXPECT_EQ(count(second, "-D PREROUTING -p tcp -j TULLE_INBOUND\n"), 1U);
  EXPECT_EQ(count(second, "-A PREROUTING -p tcp -j TULLE_INBOUND\n"), 1U);
  EXPECT_THAT(second, HasSubstr(":TULLE_INBOUND - [0:0]")) << "which empties it";
  EXPECT_EQ(iptables_removal(saved),
            "*nat\n-D PREROUTING -p tcp -j TULLE_INBOUND\n-D OUTPUT -p tcp -j TULLE_OUTBOUND\n"
            "-F TULLE_INBOUND\n-X TULLE_INBOUND\n-F TULLE_OUTBOUND\n-X TULLE_OUTBOUND\nCOMMIT\n");
  EXPECT_EQ(iptables_removal("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"), "");
  EXPECT_THAT(iptables_rules_of(saved), Not(HasSubstr("KUBE")));
}

TEST(IptablesRules, AnotherModeTakesTheFormerChainsAway) {
  Interception wanted;
  wanted.mode = Interception::Mode::tproxy;
  const std::string script = iptables_script(
      wanted, false, "*nat\n:TULLE_INBOUND - [0:0]\n-A PREROUTING -p tcp -j TULLE_INBOUND\nCOMMIT\n");
  EXPECT_THAT(script, HasSubstr("-X TULLE_INBOUND\n"));
  EXPECT_THAT(script, HasSubstr("-j TPROXY --on-port 15006 --tproxy-mark 1337"));
}

TEST(IptablesRules, FifteenPortsToARule) {
  Interception wanted;
  for (uint16_t port = 1; port <= 10; ++port) wanted.excluded_outbound.push_back({port, static_cast<uint16_t>(port + 1)});
  const std::string script = iptables_script(wanted, false, "");
  EXPECT_THAT(script, HasSubstr("--dports 1:2,2:3,3:4,4:5,5:6,6:7,7:8 -j RETURN"));
  EXPECT_THAT(script, HasSubstr("--dports 8:9,9:10,10:11 -j RETURN"));
}

TEST(IptablesRules, EachFamilyHasItsOwnAddresses) {
  Interception wanted;
  wanted.excluded_outbound_ranges = {{false, "10.0.0.0/8"}, {true, "fd00::/8"}};
  EXPECT_THAT(iptables_script(wanted, false, ""), Not(HasSubstr("fd00")));
  EXPECT_THAT(iptables_script(wanted, true, ""), Not(HasSubstr("10.0.0.0")));
  EXPECT_THAT(iptables_script(wanted, true, ""), HasSubstr("-s ::6 -j RETURN"));
}

TEST(RunProgram, GivesInputAndTakesWhatIsSaid) {
  const Result<ProgramEnd> end = run_program({{"sh", "-c", "cat; echo oops >&2; exit 3"}, "hello"});
  ASSERT_TRUE(end);
  EXPECT_EQ(end->output, "hello");
  EXPECT_EQ(end->complaint, "oops");
  EXPECT_EQ(end->status, 3);
  EXPECT_EQ(run_program({{"no-such-program-here"}, ""}).error().code, Code::not_found);
}

}  // namespace
}  // namespace tulle::cli
