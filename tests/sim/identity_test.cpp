// Certificates of a mesh from join to rotation: the real authority, the real call over mutual TLS
// and the real credentials, in simulated hours and days.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>

#include "core/base/file.hpp"
#include "core/http/grpc_call.hpp"
#include "core/net/x509_issue.hpp"
#include "core/net/x509_key.hpp"
#include "core/net/x509_request.hpp"
#include "tests/sim/identity_mesh.hpp"
#include "xds/messages.hpp"

namespace tulle::sim {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kDay = 86400;
constexpr Duration kHour = std::chrono::hours(1);

TEST(Identity, JoinsWithATokenOnce) {
  IdentityMesh mesh;
  mesh.start_control_plane();
  mesh.give_token("orders", mesh.token("orders"));
  const auto& orders = mesh.start("orders");
  EXPECT_EQ(orders->identity(), nullptr);
  ASSERT_TRUE(mesh.run_until_valid("orders")) << orders->state();
  EXPECT_EQ(orders->revision(), 1u);
  EXPECT_NEAR(static_cast<double>(orders->not_after() - IdentityMesh::now()), kDay, 5);
  EXPECT_EQ(orders->control_plane_tls()->own_spiffe_id(), IdentityMesh::id_of("orders"));
  EXPECT_THAT(orders->state(), HasSubstr("valid until 2027-"));
  const std::string folder = mesh.folder_of("orders") + "/identity";
  EXPECT_EQ(file_mode(folder), 0700u);
  EXPECT_EQ(file_mode(folder + "/key.pem"), 0600u);
  EXPECT_EQ(file_mode(folder + "/key.next.pem"), 0u);
  EXPECT_EQ(*read_small_file(folder + "/key.pem"), orders->identity()->key_pem);
  mesh.clock.run_for(1s);
  EXPECT_GE(orders.wakes, 1u);
}

TEST(Identity, RenewsAtHalfLifeWithANewKeyAndWithoutToken) {
  IdentityMesh mesh;
  mesh.start_control_plane();
  mesh.give_token("orders", mesh.token("orders"));
  const auto& orders = mesh.start("orders");
  ASSERT_TRUE(mesh.run_until_valid("orders"));
  const std::string first_key = orders->identity()->key_pem;
  for (int hour = 0; hour < 10 * 24; ++hour) {
    mesh.clock.run_for(kHour);
    ASSERT_EQ(mesh.fault("orders", "orders"), "") << "after " << hour << " hours";
    ASSERT_GT(orders->not_after() - IdentityMesh::now(), kDay * 2 / 5) << orders->state();
  }
  EXPECT_NEAR(static_cast<double>(orders->revision()), 21, 3);
  EXPECT_NE(orders->identity()->key_pem, first_key);
}

// Refusals are told apart, each with what to do, and a new token in the file is enough.
TEST(Identity, TokensThatDoNotCountAreRefusedWithReasons) {
  IdentityMesh mesh;
  mesh.start_control_plane();
  const std::string used = mesh.token("orders");
  mesh.give_token("first", used);
  mesh.start("first", "orders");
  ASSERT_TRUE(mesh.run_until_valid("first"));
  const std::string expired = mesh.token("orders", 10);
  const std::string for_another = mesh.token("kitchen");
  mesh.clock.run_for(20s);
  const std::string good = mesh.token("orders");
  std::string forged = good;
  forged[10] = forged[10] == 'A' ? 'B' : 'A';
  const auto& second = mesh.start("second", "orders");
  mesh.clock.run_for(10s);
  EXPECT_THAT(second->state(), HasSubstr("no certificate yet"));
  EXPECT_THAT(second->state(), HasSubstr("No such file"));
  const std::pair<std::string, const char*> cases[] = {
      {used, "token_used: the join token was used already by another instance"},
      {expired, "token_expired: the join token expired at 2027-"},
      {for_another, "identity_mismatch: the caller is spiffe://mesh.test/ns/default/sa/kitchen"},
      {"hello", "token_invalid: this is no join token"},
      {forged, "token_"},
      {"", "is empty"}};
  for (const auto& [token, message] : cases) {
    mesh.give_token("second", token);
    ASSERT_TRUE(mesh.clock.run_while_not(
        [&] { return second->state().find(message) != std::string::npos; }, 60s))
        << message << ": " << second->state();
    EXPECT_EQ(second->identity(), nullptr);
  }
  mesh.give_token("second", good);
  ASSERT_TRUE(mesh.run_until_valid("second")) << second->state();
  // The token for another service was refused before it was used.
  mesh.give_token("kitchen", for_another);
  mesh.start("kitchen");
  ASSERT_TRUE(mesh.run_until_valid("kitchen")) << mesh.workload("kitchen")->state();
}

TEST(Identity, ATokenOfAnotherMeshIsForeign) {
  std::string foreign;
  {
    IdentityMesh other;
    other.start_control_plane();
    foreign = other.token("orders");
  }
  IdentityMesh mesh;
  mesh.start_control_plane();
  mesh.give_token("orders", foreign);
  const auto& orders = mesh.start("orders");
  mesh.clock.run_for(5s);
  EXPECT_THAT(orders->state(), HasSubstr("token_foreign"));
}

TEST(Identity, ATokenThatWasUsedStaysUsedAfterARestartOfTheControlPlane) {
  IdentityMesh mesh;
  mesh.start_control_plane();
  const std::string token = mesh.token("orders");
  mesh.give_token("orders", token);
  mesh.start("orders");
  ASSERT_TRUE(mesh.run_until_valid("orders"));
  mesh.stop_control_plane();
  mesh.start_control_plane();
  mesh.give_token("thief", token);
  const auto& thief = mesh.start("thief", "orders");
  mesh.clock.run_for(5s);
  EXPECT_THAT(thief->state(), HasSubstr("token_used"));
}

// The answer to a join may be lost after the token was used: the same key may ask again.
TEST(Identity, ALostAnswerDoesNotCostTheToken) {
  IdentityMesh mesh;
  LinkOptions slow;
  slow.latency = 100ms;
  mesh.network.set_link(slow);
  mesh.start_control_plane();
  mesh.give_token("orders", mesh.token("orders"));
  const auto& orders = mesh.start("orders");
  // The answer is on its way when the token is in use; at every 20 ms of the first second.
  for (int i = 0; i < 50 && orders->identity() == nullptr; ++i) {
    mesh.clock.run_for(20ms);
    if (i % 5 == 4) mesh.network.cut_all(Cut::reset);
  }
  ASSERT_TRUE(mesh.run_until_valid("orders")) << orders->state();
}

TEST(Identity, TheControlPlaneMayComeLater) {
  IdentityMesh mesh;
  mesh.start_control_plane();
  mesh.give_token("orders", mesh.token("orders"));
  mesh.stop_control_plane();
  const auto& orders = mesh.start("orders");
  mesh.clock.run_for(10min);
  EXPECT_THAT(orders->state(), HasSubstr("no certificate: "));
  mesh.start_control_plane();
  const Instant began = mesh.clock.now();
  ASSERT_TRUE(mesh.run_until_valid("orders")) << orders->state();
  EXPECT_LT(mesh.clock.now() - began, 10s);
}

TEST(Identity, TriesSeveralTimesWhileTheControlPlaneIsAwayAndSaysWhenOnlyATokenHelps) {
  IdentityMesh mesh(3600);
  mesh.start_control_plane();
  mesh.give_token("orders", mesh.token("orders"));
  const auto& orders = mesh.start("orders");
  ASSERT_TRUE(mesh.run_until_valid("orders"));
  const int64_t ends = orders->not_after();
  mesh.stop_control_plane();
  const uint64_t before = mesh.network.counters().refused;
  mesh.clock.run_for(50min);
  EXPECT_EQ(mesh.fault("orders", "orders"), "");
  const uint64_t tries = mesh.network.counters().refused - before;
  EXPECT_GE(tries, 10u) << "in the second half of its life";
  EXPECT_LE(tries, 60u);
  EXPECT_THAT(orders->state(), HasSubstr("not renewed"));
  // Back before the end: renewed without a token.
  mesh.start_control_plane();
  mesh.clock.run_for(2min);
  EXPECT_GT(orders->not_after(), ends);
  EXPECT_THAT(orders->state(), Not(HasSubstr("not renewed")));

  mesh.stop_control_plane();
  const uint64_t until_then = mesh.network.counters().refused;
  mesh.clock.run_for(2 * kHour);
  EXPECT_LE(mesh.network.counters().refused - until_then, 120u) << "also in its last seconds";
  mesh.start_control_plane();
  mesh.clock.run_for(1min);
  EXPECT_THAT(orders->state(), HasSubstr("expired at 2027-"));
  EXPECT_THAT(orders->state(), HasSubstr("only a new join token helps"));
  EXPECT_NE(orders->identity(), nullptr);
  mesh.give_token("orders", mesh.token("orders"));
  ASSERT_TRUE(mesh.run_until_valid("orders")) << orders->state();
}

TEST(Identity, ARestartServesWithTheControlPlaneAway) {
  IdentityMesh mesh;
  mesh.start_control_plane();
  mesh.give_token("orders", mesh.token("orders"));
  mesh.start("orders");
  ASSERT_TRUE(mesh.run_until_valid("orders"));
  const std::string certificate = mesh.workload("orders")->identity()->certificate_pem;
  mesh.stop_control_plane();
  const auto& again = mesh.start("orders");
  ASSERT_NE(again->identity(), nullptr) << "without a turn of the loop";
  EXPECT_EQ(again->revision(), 1u);
  EXPECT_EQ(again->identity()->certificate_pem, certificate);
  EXPECT_EQ(mesh.fault("orders", "orders"), "");
  // Killed between storing the certificate and its key: the key is there under its other name.
  const std::string folder = mesh.folder_of("orders") + "/identity";
  ASSERT_TRUE(replace_file(folder + "/key.next.pem", *read_small_file(folder + "/key.pem"), 0600));
  ASSERT_TRUE(replace_file(folder + "/key.pem", generate_key(), 0600));
  EXPECT_NE(mesh.start("orders")->identity(), nullptr);
  // A key that everybody can read is not used, and somebody else's certificate neither.
  EXPECT_EQ(mesh.start("orders", "kitchen")->identity(), nullptr);
  chmod((folder + "/key.next.pem").c_str(), 0644);
  EXPECT_EQ(mesh.start("orders")->identity(), nullptr);
}

// Two workloads with certificates of a minute for an hour; the authority changes in the middle. At
// every second each one's certificate holds for the other.
TEST(Identity, CertificatesOfAMinuteForAnHourAndOneChangeOfTheAuthority) {
  IdentityMesh mesh(60);
  mesh.start_control_plane();
  for (const char* name : {"orders", "kitchen"}) {
    mesh.give_token(name, mesh.token(name));
    mesh.start(name);
    ASSERT_TRUE(mesh.run_until_valid(name)) << mesh.workload(name)->state();
  }
  const std::string first_bundle = mesh.authority().bundle_pem();
  constexpr int kSeconds = 3600;
  uint64_t looked_at = 0;
  for (int second = 0; second < kSeconds; ++second) {
    mesh.clock.run_for(1s);
    if (second == kSeconds / 2) {
      ASSERT_TRUE(mesh.authority().prepare());
    }
    if (second == kSeconds / 2 + 31) {
      ASSERT_TRUE(mesh.authority().activate());
    }
    ASSERT_GT(mesh.workload("orders")->not_after(), IdentityMesh::now()) << "in second " << second;
    ASSERT_GT(mesh.workload("kitchen")->not_after(), IdentityMesh::now()) << "in second " << second;
    // Chains are looked at when one has changed: that is what takes the time here.
    const uint64_t revisions =
        mesh.workload("orders")->revision() + mesh.workload("kitchen")->revision();
    if (std::exchange(looked_at, revisions) == revisions && second % 60 != 0) continue;
    ASSERT_EQ(mesh.fault("orders", "kitchen"), "") << "in second " << second;
    ASSERT_EQ(mesh.fault("kitchen", "orders"), "") << "in second " << second;
    ASSERT_EQ(mesh.fault("orders", "orders"), "") << "in second " << second;
  }
  EXPECT_GT(mesh.workload("orders")->revision(), kSeconds / 40u);
  EXPECT_TRUE(mesh.authority().slots().previous().empty()) << "retired by itself";
  EXPECT_EQ(mesh.workload("orders")->identity()->trust_pem, mesh.authority().bundle_pem());
  EXPECT_THAT(mesh.authority().bundle_pem(), Not(HasSubstr(first_bundle)));
}

// An instance that was away during a rotation can still verify the control plane, and is verified.
TEST(Identity, WhoMissedARotationComesBack) {
  IdentityMesh mesh(3600);
  mesh.start_control_plane();
  mesh.give_token("orders", mesh.token("orders"));
  const auto& orders = mesh.start("orders");
  ASSERT_TRUE(mesh.run_until_valid("orders"));
  mesh.stop("orders");
  mesh.clock.run_for(1min);
  ASSERT_TRUE(mesh.authority().prepare());
  mesh.clock.run_for(1min);
  ASSERT_TRUE(mesh.authority().activate());
  mesh.clock.run_for(30min);
  mesh.start("orders");
  const std::string before = orders->identity()->certificate_pem;
  mesh.clock.run_for(10min);
  EXPECT_NE(orders->identity()->certificate_pem, before) << orders->state();
  EXPECT_EQ(mesh.fault("orders", "orders"), "");
  EXPECT_EQ(orders->identity()->trust_pem, mesh.authority().bundle_pem());
}

// An answer of the control plane, or of whoever has taken its place, that must not be believed.
class Substitute final : public Service {
 public:
  using Answer = std::function<xds::SignResponse(const xds::SignRequest&)>;
  Substitute(Loop& loop, Answer answer) : loop_(loop), answer_(std::move(answer)) {}
  std::unique_ptr<Task> serve(StreamRef stream) override {
    return std::make_unique<One>(loop_, std::move(stream), answer_);
  }

 private:
  class One final : public Task {
   public:
    One(Loop& loop, StreamRef stream, const Answer& answer) : Task(loop), answer_(answer) {
      Task& self = *this;
      call_.emplace(std::move(stream), self, 1 << 20);
    }

   private:
    void run() override {
      if (!call_) return;
      if (call_->advance()) {
        call_->reply(xds::encode(answer_(*xds::decode_sign_request(call_->request()))));
      }
      if (call_->over()) call_.reset();
    }
    const Answer& answer_;
    std::optional<GrpcServerCall> call_;
  };
  Loop& loop_;
  const Answer answer_;
};

TEST(Identity, WhatIsAnsweredIsCheckedAndTheFormerStays) {
  IdentityMesh mesh(3600);
  mesh.start_control_plane();
  mesh.give_token("orders", mesh.token("orders"));
  const auto& orders = mesh.start("orders");
  ASSERT_TRUE(mesh.run_until_valid("orders"));
  const std::string bundle = orders->identity()->trust_pem;
  const auto certify = [&](const std::string& key_der, const std::string& id) {
    return mesh.authority().certify(key_der, id)->chain_pem;
  };
  const auto requested = [](const xds::SignRequest& request) {
    return read_request(request.csr_pem)->public_key_der;
  };
  const std::string own = IdentityMesh::id_of("orders");
  const std::string stranger_key = generate_key();
  const std::string stranger = *issue_root(stranger_key, "x", "spiffe://mesh.test",
                                           {IdentityMesh::now() - 60, IdentityMesh::now() + kDay});
  const auto stranger_signs = [&](const std::string& der, int64_t not_after) {
    return *issue_leaf({stranger, stranger_key, ""},
                       {der, own, {}, {}, {IdentityMesh::now() - 7200, not_after}});
  };
  const std::pair<const char*, Substitute::Answer> cases[] = {
      {"a certificate for spiffe://mesh.test/ns/default/sa/kitchen",
       [&](const xds::SignRequest& r) {
         return xds::SignResponse{certify(requested(r), IdentityMesh::id_of("kitchen")), bundle, 0};
       }},
      {"another key",
       [&](const xds::SignRequest&) {
         return xds::SignResponse{certify(*public_key_of(generate_key(), ""), own), bundle, 0};
       }},
      {"holds no certificate",
       [&](const xds::SignRequest& r) {
         return xds::SignResponse{certify(requested(r), own), "", 0};
       }},
      {"certificate is refused",
       [&](const xds::SignRequest& r) {
         return xds::SignResponse{certify(requested(r), own), stranger, 0};
       }},
      {"without any CA that was trusted so far",
       [&](const xds::SignRequest& r) {
         return xds::SignResponse{stranger_signs(requested(r), IdentityMesh::now() + 3600),
                                  stranger, 0};
       }},
      {"expired 60 s ago",
       [&](const xds::SignRequest& r) {
         return xds::SignResponse{stranger_signs(requested(r), IdentityMesh::now() - 60),
                                  bundle + stranger, 0};
       }},
      {"no certificate in PEM form",
       [&](const xds::SignRequest&) { return xds::SignResponse{"nonsense", bundle, 0}; }},
  };
  for (const auto& [message, answer] : cases) {
    const std::string before = orders->identity()->certificate_pem;
    Substitute substitute(mesh.loop, answer);
    mesh.answer_with(&substitute);
    ASSERT_TRUE(mesh.clock.run_while_not(
        [&] { return orders->state().find(message) != std::string::npos; }, 45min))
        << message << ": " << orders->state();
    EXPECT_EQ(orders->identity()->certificate_pem, before);
    EXPECT_EQ(orders->identity()->trust_pem, bundle);
    EXPECT_EQ(mesh.fault("orders", "orders"), "");
    mesh.answer_with(nullptr);
    ASSERT_TRUE(mesh.clock.run_while_not(
        [&] { return orders->identity()->certificate_pem != before; }, 5min));
  }
  // A pushed bundle that would cut us off is refused with a reason.
  const auto pushed = mesh.workload("orders").credentials->adopt_bundle(stranger);
  ASSERT_FALSE(pushed);
  EXPECT_THAT(pushed.error().detail, HasSubstr("lacks the CA of our own certificate"));
  EXPECT_FALSE(mesh.workload("orders").credentials->adopt_bundle(""));
  EXPECT_TRUE(mesh.workload("orders").credentials->adopt_bundle(bundle + stranger));
  EXPECT_EQ(orders->identity()->trust_pem, bundle + stranger);
}

// Another workload's certificate does not make a control plane: it never sees the token.
TEST(Identity, ATokenIsShownToNobodyButTheControlPlane) {
  IdentityMesh mesh;
  mesh.start_control_plane();
  const std::string key = generate_key();
  const auto certified =
      mesh.authority().certify(*public_key_of(key, ""), IdentityMesh::id_of("kitchen"));
  TlsOptions tls;
  tls.certificate_pem = certified->chain_pem;
  tls.key_pem = key;
  tls.alpn = {"h2"};
  mesh.present(*TlsContext::server(tls, false));
  int calls = 0;
  Substitute substitute(mesh.loop, [&](const xds::SignRequest&) {
    ++calls;
    return xds::SignResponse{};
  });
  mesh.answer_with(&substitute);
  mesh.give_token("orders", mesh.token("orders"));
  const auto& orders = mesh.start("orders");
  mesh.clock.run_for(30s);
  EXPECT_EQ(calls, 0);
  EXPECT_THAT(orders->state(), HasSubstr("expected spiffe://mesh.test/ns/tulle-system/sa/"));
  mesh.answer_with(nullptr);
}

}  // namespace
}  // namespace tulle::sim
