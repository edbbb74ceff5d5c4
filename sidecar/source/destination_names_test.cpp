#include "sidecar/source/destination_names.hpp"

#include <gtest/gtest.h>

#include "core/net/simulated_engine.hpp"

namespace tulle::source {
namespace {

class Owner final : public Task {
 public:
  using Task::Task;

 private:
  void run() override {}
};

class DestinationNamesTest : public ::testing::Test {
 protected:
  bool advance(Duration by) { return names_.advance(now_ = now_ + by); }

  SimulatedClock clock_{1};
  SimulatedLoop loop_{clock_};
  Owner owner_{loop_};
  DestinationRequests requests_{loop_, owner_};
  DestinationNames names_{requests_};
  Instant now_{1'000'000'000};
};

TEST_F(DestinationNamesTest, GoAnHourAfterTheirLastUse) {
  requests_.ask("kitchen:80");
  requests_.ask("other:80");
  EXPECT_TRUE(advance(1s));
  EXPECT_EQ(names_.names(), (std::set<std::string>{"kitchen:80", "other:80"}));
  EXPECT_FALSE(advance(30min));
  requests_.report_use({"kitchen:80", "never asked for:80"});
  EXPECT_FALSE(advance(1s));
  EXPECT_TRUE(advance(31min));
  EXPECT_EQ(names_.names(), std::set<std::string>{"kitchen:80"});
  requests_.ask("other:80");
  EXPECT_TRUE(advance(1s)) << "a name that was dropped can be asked for again";
}

TEST_F(DestinationNamesTest, WhenFullTenMinutesWithoutUseAreEnough) {
  requests_.ask("old:80");
  advance(1s);
  advance(11min);
  for (size_t i = 1; i < DestinationRequests::kMost; ++i) {
    requests_.ask("host-" + std::to_string(i) + ":80");
  }
  EXPECT_FALSE(requests_.ask("one-more:80"));
  EXPECT_TRUE(advance(1s));
  EXPECT_FALSE(names_.contains("old:80"));
  EXPECT_TRUE(requests_.ask("one-more:80"));
}

TEST_F(DestinationNamesTest, ComeBackAfterARestart) {
  names_.restore({"kitchen:80", "no destination"}, now_);
  EXPECT_EQ(names_.names(), std::set<std::string>{"kitchen:80"});
  EXPECT_TRUE(requests_.ask("kitchen:80"));
  EXPECT_TRUE(requests_.take_asked().empty()) << "it is asked for already";
}

}  // namespace
}  // namespace tulle::source
