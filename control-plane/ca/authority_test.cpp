// The authority and its files: what it makes, keeps, rotates and refuses.
#include "control-plane/ca/authority.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "control-plane/ca/server_certificates.hpp"
#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/net/simulated_engine.hpp"
#include "core/net/x509_issue.hpp"
#include "core/net/x509_key.hpp"
#include "tests/support/folder.hpp"

namespace tulle::ca {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kOrders = "spiffe://mesh.test/ns/default/sa/orders";

int64_t now_seconds() { return wall_now().us / 1'000'000; }

class AuthorityTest : public ::testing::Test {
 protected:
  std::unique_ptr<Authority> open() {
    auto opened = Authority::open(loop, options);
    EXPECT_TRUE(opened) << opened.error().detail;
    return opened ? std::move(*opened) : nullptr;
  }
  std::string refusal() {
    auto opened = Authority::open(loop, options);
    return opened ? "opened" : opened.error().detail;
  }
  static Certified certify(const Authority& authority) {
    auto made = authority.certify(*public_key_of(generate_key(), ""), kOrders);
    EXPECT_TRUE(made) << made.error().detail;
    return *made;
  }

  testing::TemporaryFolder folder;
  SimulatedClock clock;
  SimulatedLoop loop{clock};
  AuthorityOptions options{.directory = folder / "ca", .trust_domain = "mesh.test",
                           .propagation_seconds = 0};
};

TEST_F(AuthorityTest, MakesItsRootOnceAndKeepsItsKeyToItself) {
  std::string bundle;
  {
    const auto authority = open();
    bundle = authority->bundle_pem();
    const std::string key = folder / "ca/" + authority->slots().current().id + ".key";
    EXPECT_EQ(file_mode(key), 0600u);
    EXPECT_EQ(file_mode(options.directory), 0700u);
    EXPECT_EQ(*read_small_file(folder / "ca/root.pem"), bundle);
    EXPECT_THAT(*read_small_file(folder / "ca/slots.json"), Not(HasSubstr("PRIVATE")));
  }
  EXPECT_EQ(open()->bundle_pem(), bundle);
}

TEST_F(AuthorityTest, CertifiesForTheConfiguredTimeAndABitBefore) {
  options.certificate_lifetime_seconds = 60;
  const auto authority = open();
  const Certified made = certify(*authority);
  const auto facts = verify_chain(made.chain_pem, made.bundle_pem, now_seconds());
  ASSERT_TRUE(facts) << facts.error().detail;
  EXPECT_EQ(facts->spiffe_id, kOrders);
  EXPECT_EQ(facts->not_after, made.not_after);
  EXPECT_NEAR(static_cast<double>(made.not_after - now_seconds()), 60, 2);
  EXPECT_EQ(facts->not_after - facts->not_before, 66);
}

TEST_F(AuthorityTest, RotatesByHandWithoutAGap) {
  const auto authority = open();
  const Certified before = certify(*authority);
  const std::string first_key = folder / "ca/" + authority->slots().current().id + ".key";
  EXPECT_FALSE(authority->activate());
  ASSERT_TRUE(authority->prepare());
  EXPECT_FALSE(authority->prepare());
  EXPECT_EQ(authority->bundle_revision(), 2u);
  const std::string overlap = authority->bundle_pem();
  EXPECT_TRUE(verify_chain(certify(*authority).chain_pem, before.bundle_pem, now_seconds()));
  ASSERT_TRUE(authority->activate());
  const Certified after = certify(*authority);
  EXPECT_FALSE(verify_chain(after.chain_pem, before.bundle_pem, now_seconds()));
  for (const Certified& each : {before, after}) {
    EXPECT_TRUE(verify_chain(each.chain_pem, overlap, now_seconds()));
    EXPECT_TRUE(verify_chain(each.chain_pem, authority->bundle_pem(), now_seconds()));
  }
  EXPECT_EQ(file_mode(first_key), 0u) << "a key that signs nothing any more is removed";
  EXPECT_FALSE(authority->retire(false));
  ASSERT_TRUE(authority->retire(true));
  EXPECT_FALSE(verify_chain(before.chain_pem, authority->bundle_pem(), now_seconds()));
}

TEST_F(AuthorityTest, ARestartInTheMiddleOfARotationGoesOnWithIt) {
  std::string bundle;
  {
    const auto authority = open();
    ASSERT_TRUE(authority->prepare());
    bundle = authority->bundle_pem();
  }
  options.propagation_seconds = 30;
  const auto authority = open();
  EXPECT_EQ(authority->bundle_pem(), bundle);
  const auto early = authority->activate();
  ASSERT_FALSE(early) << "nobody was told of it while we were away";
  EXPECT_THAT(early.error().detail, HasSubstr("not known everywhere"));
}

TEST_F(AuthorityTest, WatchersHearOfANewBundle) {
  class Watcher final : public Task {
   public:
    using Task::Task;
    int runs = 0;

   private:
    void run() override { ++runs; }
  };
  const auto authority = open();
  Watcher watcher(loop);
  authority->watch(watcher);
  ASSERT_TRUE(authority->prepare());
  clock.run_for(1s);
  EXPECT_EQ(watcher.runs, 1);
  authority->unwatch(watcher);
  ASSERT_TRUE(authority->activate());
  clock.run_for(1s);
  EXPECT_EQ(watcher.runs, 1);
}

// Never a new root in place of one that is damaged: everybody would be cut off without a word.
TEST_F(AuthorityTest, WhatIsDamagedIsRefusedWithInstructions) {
  const std::string id = open()->slots().current().id;
  const std::string key = folder / "ca/" + id + ".key";
  const std::string slots = *read_small_file(folder / "ca/slots.json");

  chmod(key.c_str(), 0644);
  EXPECT_THAT(refusal(), HasSubstr("others may read this key"));
  chmod(key.c_str(), 0600);
  EXPECT_EQ(refusal(), "opened");

  ASSERT_TRUE(replace_file(key, generate_key(), 0600));
  EXPECT_THAT(refusal(), HasSubstr("does not belong"));
  ASSERT_TRUE(remove_file(key));
  EXPECT_THAT(refusal(), HasSubstr("Restore the folder from a backup"));

  for (const char* text : {"", "{}", "[", R"({"format":1})", R"({"format":2})",
                           R"({"format":1,"current":"../../etc/passwd","previous":[]})"}) {
    ASSERT_TRUE(replace_file(folder / "ca/slots.json", text, 0600));
    EXPECT_THAT(refusal(), HasSubstr("slots.json")) << text;
  }
}

TEST_F(AuthorityTest, AGivenIntermediateSignsAndItsRootIsTrusted) {
  const std::string root_key = generate_key();
  const int64_t now = now_seconds();
  const std::string root =
      *issue_root(root_key, "company", "spiffe://mesh.test", {now - 60, now + 86400});
  const auto give = [&] {
    const std::string key = generate_key();
    const auto chain = issue_intermediate({root, root_key, ""}, *public_key_of(key, ""), "mesh",
                                          {now - 60, now + 80000});
    ASSERT_TRUE(replace_file(folder / "ca.pem", *chain, 0644));
    ASSERT_TRUE(replace_file(folder / "ca.key", key, 0600));
  };
  give();
  options.certificate_file = folder / "ca.pem";
  EXPECT_THAT(refusal(), HasSubstr("belong together"));
  options.key_file = folder / "ca.key";
  const auto authority = open();
  EXPECT_EQ(authority->bundle_pem(), root);
  EXPECT_TRUE(verify_chain(certify(*authority).chain_pem, root, now));

  const auto same = authority->prepare();
  ASSERT_FALSE(same);
  EXPECT_THAT(same.error().detail, HasSubstr("put the new one there first"));
  give();
  ASSERT_TRUE(authority->prepare());
  ASSERT_TRUE(authority->activate());
  EXPECT_TRUE(verify_chain(certify(*authority).chain_pem, root, now));

  ASSERT_TRUE(replace_file(folder / "ca.key", generate_key(), 0600));
  options.directory = folder / "other";
  EXPECT_THAT(refusal(), HasSubstr("does not belong"));
}

// What the control plane presents: known to those who know the former bundle, and for people.
TEST_F(AuthorityTest, TheControlPlanesOwnCertificateOutlivesARotation) {
  class Owner final : public Task {
   public:
    using Task::Task;

   private:
    void run() override {}
  };
  Owner owner(loop);
  const auto authority = open();
  auto made = ServerCertificates::make(loop, *authority, {}, {}, owner);
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_EQ((*made)->revision(), 1u);
  EXPECT_EQ((*made)->xds()->own_spiffe_id(),
            "spiffe://mesh.test/ns/tulle-system/sa/control-plane");
  const auto first = (*made)->xds();
  ASSERT_TRUE(authority->prepare());
  clock.run_for(1s);
  EXPECT_EQ((*made)->revision(), 2u);
  const auto second = (*made)->xds();
  EXPECT_NE(second, first);
  ASSERT_TRUE(authority->activate());
  clock.run_for(1s);
  EXPECT_EQ((*made)->revision(), 2u) << "still the former authority's";
  ASSERT_TRUE(authority->retire(true));
  clock.run_for(1s);
  EXPECT_EQ((*made)->revision(), 3u) << "cut off from its authority";
}

}  // namespace
}  // namespace tulle::ca
