#include "xds/subscription.hpp"

#include <gtest/gtest.h>

namespace tulle::xds {
namespace {

constexpr ResourceType kListener = ResourceType::listener;
constexpr ResourceType kRoute = ResourceType::route;

TEST(Subscription, EmptyListsAndWildcards) {
  Subscription listeners(kListener);
  EXPECT_TRUE(listeners.replace({})->first);
  EXPECT_TRUE(listeners.wildcard());
  EXPECT_TRUE(listeners.replace({"a"})->removed);
  EXPECT_FALSE(listeners.wildcard());
  EXPECT_TRUE(listeners.replace({})->removed);
  EXPECT_FALSE(listeners.wildcard());  // something was named once: now nothing is wanted
  EXPECT_FALSE(listeners.wants("a"));
  EXPECT_TRUE(listeners.replace({"*", "a"})->wildcard_added);
  EXPECT_EQ(listeners.names().size(), 1u);
  EXPECT_TRUE(listeners.wants("b"));
  Subscription routes(kRoute);
  EXPECT_TRUE(routes.replace({"*"}).has_value());
  EXPECT_FALSE(routes.wildcard());
}

}  // namespace
}  // namespace tulle::xds
