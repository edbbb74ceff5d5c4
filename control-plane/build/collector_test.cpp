#include "control-plane/build/collector.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace tulle::build {
namespace {

constexpr auto kOtlp = Collector::Format::otlp;
constexpr auto kZipkin = Collector::Format::zipkin;

TEST(Collector, AnAddressIsEnough) {
  const auto otlp = read_collector(kOtlp, "http://127.0.0.1:4318");
  ASSERT_TRUE(otlp.has_value());
  EXPECT_EQ(otlp->address, *Address::parse("127.0.0.1", 4318));
  EXPECT_EQ(otlp->authority, "127.0.0.1:4318");
  EXPECT_EQ(otlp->path, "/v1/traces");
  EXPECT_EQ(otlp->sampling_percent, 1);
  const auto zipkin = read_collector(kZipkin, "http://[::1]:9411/");
  ASSERT_TRUE(zipkin.has_value());
  EXPECT_EQ(zipkin->authority, "[::1]:9411");
  EXPECT_EQ(zipkin->path, "/api/v2/spans");
}

TEST(Collector, APathCounts) {
  EXPECT_EQ(read_collector(kOtlp, "http://127.0.0.1:1/a/b")->path, "/a/b");
}

TEST(Collector, SaysWhatIsWrong) {
  for (const auto& [url, problem] : std::vector<std::pair<std::string, std::string>>{
           {"", "must begin with http://"},
           {"127.0.0.1:4318", "must begin with http://"},
           {"https://127.0.0.1:4318", "must begin with http://"},
           {"http://collector:4318", "names are not looked up"},
           {"http://127.0.0.1", "an IP address and a port"},
           {"http://127.0.0.1:0", "an IP address and a port"},
           {"http://127.0.0.1:1/a b", "characters that no URL has"}}) {
    const auto collector = read_collector(kOtlp, url);
    ASSERT_FALSE(collector.has_value()) << url;
    EXPECT_NE(collector.error().detail.find(problem), std::string::npos) << collector.error().detail;
  }
}

}  // namespace
}  // namespace tulle::build
