#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "cli/api/session.hpp"

namespace tulle::cli {
namespace {

using ::testing::HasSubstr;

struct Access : ::testing::Test {
  std::string folder = ::testing::TempDir() + "tulle-access-" + std::to_string(::getpid());
  std::string token = folder + "/token";
  void SetUp() override {
    std::filesystem::create_directories(folder);
    ASSERT_TRUE(write_file(token, "secret\n", 0600).has_value());
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::string refused(const std::string& url, const std::string& token_file) {
    Result<ApiAccess> access = open_access(url, token_file, "");
    return access ? "accepted" : access.error().detail;
  }
};

TEST_F(Access, TakesAddressesAsPeopleWriteThem) {
  Result<ApiAccess> plain = open_access("http://localhost:8080/", token, "");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->address.to_string(), "127.0.0.1:8080");
  EXPECT_EQ(plain->authority, "localhost:8080");
  EXPECT_EQ(plain->token, "secret");
  EXPECT_EQ(open_access("http://[::1]:1", token, "")->address.to_string(), "[::1]:1");
  EXPECT_EQ(open_access("http://127.0.0.1", token, "")->address.port(), 15080);
}

TEST_F(Access, RefusesWhatCannotBeMeantAndSaysWhatCan) {
  for (const char* url : {"ftp://x", "http://127.0.0.1:", "http://127.0.0.1:99999", "http://a b", "http:///x"}) {
    EXPECT_THAT(refused(url, token), HasSubstr("looks like https://127.0.0.1:15080")) << url;
  }
  EXPECT_THAT(refused("http://192.0.2.1:80", token), HasSubstr("the token would travel in clear"));
  EXPECT_THAT(refused("https://127.0.0.1:80", token), HasSubstr("TULLE_CA_FILE"));
  EXPECT_THAT(refused("http://127.0.0.1:80", ""), HasSubstr("TULLE_TOKEN_FILE"));
  EXPECT_THAT(refused("http://127.0.0.1:80", folder + "/none"), HasSubstr("No such file"));
  ASSERT_TRUE(write_file(token, "two words\n").has_value());
  EXPECT_THAT(refused("http://127.0.0.1:80", token), HasSubstr("must hold one token"));
}

TEST_F(Access, NobodyThereIsAnErrorThatSaysWhatToDo) {
  Session session(*open_access("http://127.0.0.1:1", token, ""));
  Result<ApiAnswer> answer = session.ask({Method::get, "/v1/services"});
  ASSERT_FALSE(answer.has_value());
  EXPECT_THAT(answer.error().detail, HasSubstr("http://127.0.0.1:1 cannot be reached"));
  EXPECT_THAT(answer.error().detail, HasSubstr("tulle up FILE"));
}

TEST(Refusal, IsShownWithEveryProblem) {
  EXPECT_EQ(describe_refusal({422, R"({"title": "Unprocessable", "detail": "2 problems", "problems": [
                {"path": "spec.ports", "message": "is empty", "code": "invalid"}, {"path": "", "message": "is old"}]})"}),
            "Unprocessable\n  spec.ports: is empty\n  is old");
  EXPECT_EQ(describe_refusal({500, "oops"}), "the control plane answered 500");
  EXPECT_THAT(describe_refusal({401, R"({"title": "Unauthorized"})"}), HasSubstr("the token was not accepted"));
}

TEST(Runs, AreHeldByOneProcessAndKnownWhileTheyAre) {
  const std::string folder = ::testing::TempDir() + "tulle-runs-" + std::to_string(::getpid());
  std::filesystem::create_directories(folder);
  ::setenv("XDG_RUNTIME_DIR", folder.c_str(), 1);
  const RunDirectory run = run_directory_of(folder + "/mesh.yaml", "", "shop");
  EXPECT_EQ(run.path(), folder + "/.tulle/shop");
  EXPECT_FALSE(run.holder().has_value());
  EXPECT_THAT(choose_running("").error().detail, HasSubstr("no mesh is up"));
  {
    Result<std::unique_ptr<RunClaim>> claim = RunClaim::take(run);
    ASSERT_TRUE(claim.has_value());
    EXPECT_EQ(run.holder(), ::getpid());
    Result<std::unique_ptr<RunClaim>> second = RunClaim::take(run);
    ASSERT_FALSE(second.has_value());
    EXPECT_THAT(second.error().detail, HasSubstr("tulle down shop"));
    EXPECT_EQ(choose_running("")->path(), run.path());
    EXPECT_EQ(choose_running("shop")->path(), run.path());
    EXPECT_THAT(choose_running("other").error().detail, HasSubstr("is not up"));
    const RunDirectory beside = run_directory_of(folder + "/mesh.yaml", "", "beside");
    Result<std::unique_ptr<RunClaim>> other = RunClaim::take(beside);
    ASSERT_TRUE(other.has_value());
    EXPECT_THAT(choose_running("").error().detail, HasSubstr("several meshes are up"));
  }
  EXPECT_FALSE(run.holder().has_value());
  EXPECT_TRUE(running_meshes().empty());
  EXPECT_TRUE(std::filesystem::exists(run.logs()));
  EXPECT_FALSE(std::filesystem::exists(run.control_plane()));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace tulle::cli
