#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/isolate/entrance.hpp"
#include "cli/isolate/isolate_plan.hpp"
#include "cli/isolate/isolation.hpp"

namespace tulle::cli {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kRoutes4 =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";

PrivateRange some_range() { return PrivateRange::choose(kRoutes4, "").value(); }

TEST(PrivateRange, TakesTheFirstThatNothingLeadsTo) {
  EXPECT_EQ(some_range().text4(), "10.213.0.0/16");
  const std::string vpn = std::string(kRoutes4) + "tun0\t0000D50A\t0\t1\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
  EXPECT_EQ(PrivateRange::choose(vpn, "")->text4(), "10.212.0.0/16");
  const std::string host = std::string(kRoutes4) + "tun0\t0903D50A\t0\t1\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n";
  EXPECT_EQ(PrivateRange::choose(host, "")->text4(), "10.212.0.0/16") << "one address inside is enough";
  const std::string all_of_ten = std::string(kRoutes4) + "tun0\t0000000A\t0\t1\t0\t0\t0\t000000FF\t0\t0\t0\n";
  EXPECT_EQ(PrivateRange::choose(all_of_ten, "")->text4(), "100.120.0.0/16");
}

TEST(PrivateRange, SaysSoWhenThereIsNone) {
  std::string all = kRoutes4;
  all += "a\t0000000A\t0\t1\t0\t0\t0\t000000FF\t0\t0\t0\n";
  all += "a\t00004064\t0\t1\t0\t0\t0\t0000C0FF\t0\t0\t0\n";
  all += "a\t000012C6\t0\t1\t0\t0\t0\t0000FEFF\t0\t0\t0\n";
  all += "a\t000010AC\t0\t1\t0\t0\t0\t0000F0FF\t0\t0\t0\n";
  const Result<PrivateRange> none = PrivateRange::choose(all, "");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().detail, HasSubstr("ip route"));
}

TEST(PrivateRange, LeavesIPv6PrefixesThatAreInUse) {
  EXPECT_EQ(some_range().text6(), "fd74:756c:6c65:2::/63");
  const std::string taken = "fd74756c6c650003000000000000000000 40 x\n"
                            "fd74756c6c6500030000000000000000 40 00000000000000000000000000000000 00 0 0 0 0 0 eth0\n";
  EXPECT_EQ(PrivateRange::choose(kRoutes4, taken)->text6(), "fd74:756c:6c65:4::/63");
  const std::string others = "fe800000000000000000000000000000 40 0 00 0 0 0 0 0 eth0\n"
                             "00000000000000000000000000000000 00 0 00 0 0 0 0 0 eth0\n";
  EXPECT_EQ(PrivateRange::choose(kRoutes4, others)->text6(), "fd74:756c:6c65:2::/63");
}

TEST(PrivateRange, NoAddressIsGivenTwice) {
  const PrivateRange range = some_range();
  std::set<std::string> seen = {range.gateway4(), range.gateway6()};
  for (unsigned i = 0; i < 300; ++i) {
    seen.insert({range.instance4(i), range.instance6(i), range.service4(i), range.service6(i)});
  }
  EXPECT_EQ(seen.size(), 2 + 4 * 300u);
  EXPECT_EQ(range.instance4(0), "10.213.0.2");
  EXPECT_EQ(range.instance4(254), "10.213.1.0");
  EXPECT_EQ(range.service4(0), "10.213.128.1");
  EXPECT_EQ(range.instance6(14), "fd74:756c:6c65:2::10");
  EXPECT_EQ(range.service6(0), "fd74:756c:6c65:3::1");
}

MeshFile shop() {
  FileProblems problems;
  return *read_mesh_file(R"(
name: shop
services:
  kitchen: {command: [node, kitchen.js], port: 8080, replicas: 2}
  store: {command: exec redis, port: 6379, protocol: redis, user: games}
  web: {command: exec web, port: 80, environment: {PAGE: a}}
)", problems);
}

struct Isolating : ::testing::Test {
  MeshFile file = shop();
  RunDirectory run{"/base/.tulle/shop"};
  Isolation isolation = make_isolation(file, some_range(), 4711, true, false);
  Plan plan = [this] {
    std::vector<uint16_t> ports(ports_needed(file));
    for (size_t i = 0; i < ports.size(); ++i) ports[i] = static_cast<uint16_t>(21000 + i);
    Plan made = make_plan(file, "/base", run, {"/bin/cp", "/bin/sc"},
                          {{"PATH", "/usr/bin"}, {"HTTPS_PROXY", "http://corporate:1"}}, ports);
    isolate(made, file, isolation, run, "/bin/tulle", "1000");
    return made;
  }();
  const InstancePlan& kitchen = plan.instances[1];
  const InstancePlan& store = plan.instances[2];
  const InstancePlan& web = plan.instances[3];

  static std::string variable(const InstancePlan& instance, std::string_view name) {
    std::string found;
    for (const auto& [key, value] : instance.child.environment) {
      if (key == name) found += value;  // twice would show
    }
    return found;
  }
};

TEST_F(Isolating, NamespacesAreNamedAfterTheRun) {
  EXPECT_THAT(namespaces_of(isolation), ElementsAre("tulle-4711-0", "tulle-4711-1", "tulle-4711-2",
                                                    "tulle-4711-3", "tulle-4711-4"));
  EXPECT_EQ(maker_of("tulle-4711-0"), 4711);
  for (const char* other : {"tulle-pod-4711", "tulle-4711", "tulle-4711-", "tulle-4711-1x", "tulle--1-1",
                            "tulle-0-1", "cni-4711-1", "tulle-99999999999-1"}) {
    EXPECT_EQ(maker_of(other), 0) << other;
  }
}

TEST_F(Isolating, EveryNamespaceHasALinkToTheBridgeAndADefaultRoute) {
  const std::vector<Program> programs = construction(isolation);
  ASSERT_EQ(programs.size(), 2 + isolation.sites.size());
  EXPECT_THAT(programs[0].command, ElementsAre("ip", "-batch", "-"));
  EXPECT_THAT(programs[0].input, HasSubstr("netns add tulle-4711-4\n"));
  EXPECT_THAT(programs[1].command, ElementsAre("ip", "-n", "tulle-4711-0", "-batch", "-"));
  EXPECT_THAT(programs[1].input, HasSubstr("address add 10.213.0.1/17 dev bridge0\n"));
  EXPECT_THAT(programs[1].input, HasSubstr("link add port4 type veth peer name eth0 netns tulle-4711-4\n"));
  EXPECT_THAT(programs[2].command, ElementsAre("ip", "-n", "tulle-4711-1", "-batch", "-"));
  EXPECT_EQ(programs[2].input,
            "link set lo up\n"
            "address add 10.213.0.2/17 dev eth0\n"
            "address add fd74:756c:6c65:2::2/64 dev eth0 nodad\n"
            "link set eth0 up\n"
            "route add default via 10.213.0.1\n"
            "route add ::/0 via fd74:756c:6c65:2::1 dev eth0\n");
  EXPECT_EQ(demolition({"a", "b"}).input, "netns del a\nnetns del b\n");
}

TEST_F(Isolating, WithoutIPv6NothingIsSaidOfIt) {
  isolation.ipv6 = false;
  for (const Program& program : construction(isolation)) EXPECT_THAT(program.input, Not(HasSubstr("fd74")));
  EXPECT_THAT(hosts_file(isolation), Not(HasSubstr("fd74")));
}

TEST_F(Isolating, NamesLeadToServicesAndInstances) {
  const std::string hosts = hosts_file(isolation);
  EXPECT_THAT(hosts, HasSubstr("127.0.0.1 localhost\n"));
  EXPECT_THAT(hosts, HasSubstr("10.213.128.2 store store.default store.default.svc store.default.svc.cluster.local\n"));
  EXPECT_THAT(hosts, HasSubstr("fd74:756c:6c65:3::2 store store.default"));
  EXPECT_THAT(hosts, HasSubstr("10.213.0.3 kitchen-2\n10.213.0.4 store-1\n"));
  isolation.prefers_ipv6 = true;
  EXPECT_THAT(hosts_file(isolation), HasSubstr("fd74:756c:6c65:2::3 kitchen-2\n"));
  EXPECT_THAT(hosts_file(isolation), Not(HasSubstr("10.213.0.3")));
}

TEST_F(Isolating, AnInstanceListensWhereItsServiceIsCalled) {
  EXPECT_EQ(kitchen.address, "10.213.0.3");
  EXPECT_EQ(kitchen.port, 8080);
  EXPECT_EQ(kitchen.network_namespace, "tulle-4711-2");
  EXPECT_EQ(variable(kitchen, "PORT"), "8080");
  isolation.prefers_ipv6 = true;
  EXPECT_EQ(isolation.address_of(isolation.sites[1]), "fd74:756c:6c65:2::3");
}

TEST_F(Isolating, AnApplicationKnowsNoProxy) {
  for (const char* name : {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"}) {
    EXPECT_EQ(variable(web, name), "") << name;
  }
  EXPECT_EQ(variable(web, "KITCHEN_URL"), "http://kitchen:8080");
  EXPECT_EQ(variable(web, "STORE_URL"), "tcp://store:6379");
  EXPECT_EQ(variable(web, "PAGE"), "a");
  EXPECT_EQ(variable(web, "PATH"), "/usr/bin");
}

TEST_F(Isolating, EveryProgramEntersAsWhoItIsToBe) {
  EXPECT_THAT(kitchen.child.command,
              ElementsAre("/bin/tulle", "enter", "--network", "tulle-4711-2", "--hosts",
                          "/base/.tulle/shop/instances/hosts", "--resolver",
                          "/base/.tulle/shop/instances/resolv.conf", "--host-name", "kitchen-2", "--user",
                          "1000", "--", "node", "kitchen.js"));
  EXPECT_EQ(store.user, "games") << "the file wins";
  EXPECT_THAT(store.sidecar.command,
              ElementsAre("/bin/tulle", "enter", "--network", "tulle-4711-3", "--hosts",
                          "/base/.tulle/shop/instances/hosts", "--resolver",
                          "/base/.tulle/shop/instances/resolv.conf", "--host-name", "store-1",
                          "--directory", "/base/.tulle/shop/instances/store-1", "--user", "2102", "--",
                          "/bin/sc", "--config", "/run/tulle/sidecar.json"));
  EXPECT_EQ(store.sidecar_user, kSidecarUser);
  EXPECT_THAT(plan.control_plane.child.command,
              ElementsAre("/bin/tulle", "enter", "--network", "tulle-4711-0", "--", "/bin/cp", "--config",
                          "/base/.tulle/shop/control-plane/config.json"));
}

TEST_F(Isolating, TheSidecarCapturesAndHasItsFilesInItsFolder) {
  const json bootstrap = json::parse(store.bootstrap);
  EXPECT_EQ(bootstrap["control_plane"],
            json::parse(R"({"address": "10.213.0.1:15012", "trust_bundle": "/run/tulle/root.pem"})"));
  EXPECT_EQ(bootstrap["identity"]["directory"], "/run/tulle/identity");
  EXPECT_EQ(bootstrap["identity"]["join_token_file"], "/run/tulle/token");
  EXPECT_EQ(bootstrap["state_dir"], "/run/tulle/state");
  EXPECT_EQ(bootstrap["admin"]["port"], 15000);
  EXPECT_FALSE(bootstrap.contains("static_resources")) << "the virtual address takes their place";
  EXPECT_EQ(bootstrap["workload"], json::parse(R"({
    "namespace": "default", "service": "store", "labels": {}, "address": "10.213.0.4",
    "capture": {"outbound": 15001, "inbound": 15006, "ipv6": true, "mtls": "strict"},
    "ports": [{"name": "redis", "port": 6379, "app_protocol": "redis"}]})"));
  EXPECT_THAT(isolation.interception.proxy_users, ElementsAre(2102));
}

TEST_F(Isolating, TheControlPlaneListensInTheHub) {
  const json config = json::parse(plan.control_plane.config);
  EXPECT_EQ(config["xds"]["address"], "10.213.0.1:15012");
  EXPECT_EQ(config["api"]["address"], "127.0.0.1:15080");
  EXPECT_EQ(config["api"]["token_file"], run.token());
  EXPECT_EQ(plan.control_plane.network_namespace, "tulle-4711-0");
}

TEST_F(Isolating, AServiceHasItsVirtualAddresses) {
  const json spec = json::parse(plan.services[1].json)["spec"];
  EXPECT_EQ(spec["clusterIP"], "10.213.128.2");
  EXPECT_THAT(spec["clusterIPs"], ElementsAreArray({"10.213.128.2", "fd74:756c:6c65:3::2"}));
  EXPECT_EQ(spec["ports"][0]["port"], 6379);
}

TEST(FindUser, ByNameAndByNumber) {
  EXPECT_EQ(find_user("root")->id, 0u);
  EXPECT_EQ(find_user("root")->group, 0u);
  const Result<User> nameless = find_user("64999");
  ASSERT_TRUE(nameless);
  EXPECT_EQ(nameless->id, 64999u);
  EXPECT_EQ(nameless->group, 64999u);
  EXPECT_THAT(find_user("no-such-user").error().detail, HasSubstr("\"no-such-user\" is no user"));
  EXPECT_FALSE(find_user("4294967295"));
  EXPECT_FALSE(find_user("12x"));
}

}  // namespace
}  // namespace tulle::cli
