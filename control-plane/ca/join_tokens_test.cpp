// Tokens over the real store on disk: what was used stays used.
#include "control-plane/ca/join_tokens.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/net/test_loop.hpp"
#include "tests/support/folder.hpp"

namespace tulle::ca {
namespace {

using ::testing::HasSubstr;

class Waiter final : public Task {
 public:
  using Task::Task;

 private:
  void run() override {}
};

class JoinTokensTest : public ::testing::Test {
 protected:
  JoinTokensTest() { open(); }
  ~JoinTokensTest() override { close(); }

  void open() {
    auto opened = store::open_sqlite_store(test.loop, folder.path());
    ASSERT_TRUE(opened) << opened.error().detail;
    store = std::move(*opened);
    tokens = std::move(*JoinTokens::open(folder.path(), "mesh.test", *store));
  }
  void close() {
    tokens.reset();
    store.reset();
  }
  std::string create(const std::string& service = "orders", int64_t lifetime = 60) {
    auto created = tokens->create("default", service, lifetime, "admin", &waiter);
    EXPECT_TRUE(created) << created.error().detail;
    EXPECT_TRUE(test.run_until([&] { return created->write->done(); }));
    EXPECT_TRUE(created->write->outcome());
    return created->token;
  }
  std::string redeem(const std::string& token, const std::string& key) {
    auto claims = tokens->read(token);
    if (!claims) return claims.error().detail;
    Redemption redemption(*tokens, token, *claims, key, waiter);
    EXPECT_TRUE(test.run_until([&] {
      redemption.advance();
      return redemption.outcome().has_value();
    }));
    return *redemption.outcome() ? "allowed" : redemption.outcome()->error().detail;
  }

  testing::TemporaryFolder folder;
  TestLoop test;
  Waiter waiter{test.loop};
  std::unique_ptr<store::Store> store;
  std::unique_ptr<JoinTokens> tokens;
};

TEST_F(JoinTokensTest, OneKeyUsesATokenAlsoAfterARestart) {
  const std::string token = create();
  const auto claims = tokens->read(token);
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->namespace_name, "default");
  EXPECT_EQ(claims->service, "orders");
  EXPECT_EQ(redeem(token, "key one"), "allowed");
  EXPECT_THAT(redeem(token, "key two"), HasSubstr("token_used"));
  EXPECT_EQ(redeem(token, "key one"), "allowed") << "its answer was lost";
  close();
  open();
  EXPECT_THAT(redeem(token, "key two"), HasSubstr("token_used"));
  EXPECT_EQ(redeem(token, "key one"), "allowed");
}

TEST_F(JoinTokensTest, AnUnusedTokenSurvivesARestart) {
  const std::string token = create();
  close();
  open();
  EXPECT_EQ(redeem(token, "key"), "allowed");
}

TEST_F(JoinTokensTest, OfTwoAtOnceOneIsAllowed) {
  const std::string token = create();
  const auto claims = tokens->read(token);
  Redemption one(*tokens, token, *claims, "key one", waiter);
  Redemption two(*tokens, token, *claims, "key two", waiter);
  ASSERT_TRUE(test.run_until([&] {
    one.advance();
    two.advance();
    return one.outcome() && two.outcome();
  }));
  EXPECT_NE(one.outcome()->has_value(), two.outcome()->has_value());
}

TEST_F(JoinTokensTest, TheStoreNeverSeesTheToken) {
  const std::string token = create();
  close();
  for (const char* name : {"/tulle.db", "/tulle.db-wal"}) {
    const auto bytes = read_small_file(folder.path() + name, 64 << 20);
    EXPECT_EQ(bytes ? bytes->find(token) : std::string::npos, std::string::npos);
  }
  EXPECT_EQ(file_mode(folder / "token.key"), 0600u);
}

TEST_F(JoinTokensTest, RefusesWhatIsNotItsOwn) {
  const auto read = [&](const std::string& token) {
    const auto claims = tokens->read(token);
    return claims ? std::string("good") : claims.error().detail;
  };
  const std::string token = create();
  EXPECT_EQ(read(token), "good");
  EXPECT_THAT(read(""), HasSubstr("token_invalid"));
  EXPECT_THAT(read(std::string(1 << 20, 'A')), HasSubstr("token_invalid"));
  EXPECT_THAT(read("tulle1.AAAA.AAAA"), HasSubstr("token_invalid"));
  EXPECT_THAT(read("tulle1."), HasSubstr("token_invalid"));
  EXPECT_THAT(read(token + "="), HasSubstr("token_invalid"));
  // Whatever single character changes, it is no token of ours any more.
  for (size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_NE(read(changed), "good") << i;
  }
  testing::TemporaryFolder elsewhere;
  auto others = JoinTokens::open(elsewhere.path(), "mesh.test", *store);
  EXPECT_THAT((*others)->read(token).error().detail, HasSubstr("token_foreign"));
  auto same_key = JoinTokens::open(folder.path(), "other.test", *store);
  EXPECT_THAT((*same_key)->read(token).error().detail,
              HasSubstr("is for trust domain mesh.test, this is other.test"));
}

TEST_F(JoinTokensTest, RefusesToMakeImpossibleOnes) {
  const auto fault = [&](const std::string& space, const std::string& service, int64_t lifetime) {
    const auto created = tokens->create(space, service, lifetime, "admin", nullptr);
    return created ? std::string("made") : created.error().detail;
  };
  EXPECT_THAT(fault("default", "a/../b", 60), HasSubstr("DNS labels"));
  EXPECT_THAT(fault("", "orders", 60), HasSubstr("DNS labels"));
  EXPECT_THAT(fault("default", "a\nb", 60), HasSubstr("DNS labels"));
  EXPECT_THAT(fault("default", "orders", 0), HasSubstr("1 second to 30 days"));
  EXPECT_THAT(fault("default", "orders", 31 * 86400), HasSubstr("1 second to 30 days"));
  EXPECT_THAT(fault("tulle-system", "control-plane", 60), HasSubstr("nobody joins it"));
  ASSERT_TRUE(replace_file(folder / "token.key", "short", 0600));
  EXPECT_FALSE(JoinTokens::open(folder.path(), "mesh.test", *store));
}

}  // namespace
}  // namespace tulle::ca
