#include "sidecar/config/materials.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "core/base/clock.hpp"
#include "sidecar/config/config_fixture_test.hpp"
#include "sidecar/config/load.hpp"

namespace tulle::config {
namespace {

using tulle::testing::IssuedCertificate;
using tulle::testing::TestCa;

// A directory with an identity, and the example bootstrap that names it.
class MaterialsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tulle-materials-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    const IssuedCertificate leaf = ca_.issue_spiffe("spiffe://example.org/ns/default/sa/web");
    write("certificate.pem", leaf.certificate_pem);
    write("key.pem", leaf.key_pem);
    write("ca.pem", ca_.pem());
    bootstrap_ = testing::example();
    for (const char* field : {"certificate", "key"}) {
      bootstrap_["identity"][field] = path(std::string(field) + ".pem");
    }
    bootstrap_["identity"]["trust_bundle"] = path("ca.pem");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name)) << content;
  }
  Loaded load_it() const {
    write("tulle.json", bootstrap_.dump());
    return load(path("tulle.json"));
  }
  std::string problems() const {
    std::string text = to_text(load_it().problems);
    for (size_t at; (at = text.find(folder_ + "/")) != std::string::npos;) {
      text.erase(at, folder_.size() + 1);
    }
    return text;
  }

  TestCa ca_;
  std::string folder_;
  nlohmann::json bootstrap_;
};

TEST_F(MaterialsTest, LoadsTheExample) {
  const Loaded loaded = load_it();
  EXPECT_EQ(to_text(loaded.problems), "");
  ASSERT_NE(loaded.snapshot, nullptr);
  EXPECT_EQ(loaded.snapshot->listeners.size(), 2u);
  const std::vector<std::string> expected{path("ca.pem"), path("certificate.pem"),
                                          path("key.pem")};
  EXPECT_EQ(watched_paths(*loaded.bootstrap), expected);
}

TEST_F(MaterialsTest, MissingAndUnreadableFiles) {
  bootstrap_["identity"]["key"] = path("gone.pem");
  bootstrap_["identity"]["trust_bundle"] = folder_ + "/.";
  bootstrap_["static_resources"][1]["connect_timeout"] = "0s";
  EXPECT_EQ(problems(),
            "identity.key: gone.pem: No such file or directory\n"
            "identity.trust_bundle: .: is not a regular file\n"
            "static_resources[1] Cluster \"orders\": connect_timeout: must be more than 0s\n");
}

TEST_F(MaterialsTest, KeyOfAnotherCertificate) {
  write("key.pem", tulle::testing::make_key_pem());
  EXPECT_EQ(problems(),
            "identity.key: private key (key.pem) does not belong to the certificate: their public "
            "keys differ\n");
}

TEST_F(MaterialsTest, CertificatesOutsideTheirTime) {
  const IssuedCertificate expired =
      ca_.issue_expired("spiffe://example.org/ns/default/sa/web");
  write("certificate.pem", expired.certificate_pem);
  write("key.pem", expired.key_pem);
  EXPECT_EQ(problems(),
            "identity.certificate: certificate.pem: the certificate expired at "
            "2021-12-31T23:59:59Z\n");

  tulle::testing::LeafOptions future;
  future.uris = {"spiffe://example.org/ns/default/sa/web"};
  future.not_before = 2489184000;  // 2048-11-17
  const IssuedCertificate early = ca_.issue(future);
  write("certificate.pem", early.certificate_pem);
  write("key.pem", early.key_pem);
  EXPECT_EQ(problems(),
            "identity.certificate: certificate.pem: the certificate is not valid before "
            "2048-11-17T00:00:00Z\n");
}

TEST_F(MaterialsTest, AnotherTrustDomain) {
  bootstrap_["identity"]["trust_domain"] = "other.org";
  EXPECT_EQ(problems(),
            "identity.trust_domain: the certificate certificate.pem holds "
            "spiffe://example.org/ns/default/sa/web, which is not in trust domain \"other.org\"\n");
}

TEST_F(MaterialsTest, NotPem) {
  write("ca.pem", "hello");
  EXPECT_EQ(problems(),
            "identity.trust_bundle: certificate (ca.pem) holds no certificate in PEM form\n");
}

TEST_F(MaterialsTest, FilesOfResources) {
  write("body.html", "hello");
  bootstrap_[nlohmann::json::json_pointer(std::string(testing::kOutbound) + testing::kRoute)] =
      nlohmann::json::parse(R"({"match": {"prefix": "/"}, "direct_response":
                               {"status": 200, "body": {"filename": "x"}}})");
  auto& name = bootstrap_[nlohmann::json::json_pointer(std::string(testing::kOutbound) +
                                                       testing::kRoute +
                                                       "/direct_response/body/filename")];
  name = path("body.html");
  const Loaded loaded = load_it();
  ASSERT_NE(loaded.snapshot, nullptr) << to_text(loaded.problems);
  const Fields none;
  const routing::Route* route =
      loaded.snapshot->listeners[1]->routes->match({"GET", "http", "orders", "/", &none}, 0);
  EXPECT_EQ(std::get<routing::DirectResponse>(route->action).body, "hello");
  EXPECT_EQ(watched_paths(*loaded.bootstrap).front(), path("body.html"));

  name = path("gone.html");
  EXPECT_EQ(problems(),
            "static_resources[0] Listener \"outbound\": filter_chains[0].filters[0].typed_config."
            "route_config.virtual_hosts[0].routes[0].direct_response.body.filename: gone.html: No "
            "such file or directory\n");
}

}  // namespace
}  // namespace tulle::config
