#include "sidecar/config/message_walk.hpp"

#include <google/protobuf/any.pb.h>
#include <gtest/gtest.h>

namespace tulle::config {
namespace {

using google::protobuf::Any;

class Everything : public MessageWalk {
 public:
  using MessageWalk::MessageWalk;

 private:
  bool on_field(const google::protobuf::Message&, const google::protobuf::FieldDescriptor&) override {
    return true;
  }
  void on_packed(const Any& any) override { walk_packed(any); }
};

Any packed(int levels) {
  Any any;
  for (int level = 0; level < levels; ++level) {
    Any outer;
    outer.PackFrom(any);
    any = std::move(outer);
  }
  return any;
}

Problems problems_of(const Any& any) {
  Problems problems;
  Everything(Place(problems, "x")).walk(any);
  return problems;
}

TEST(MessageWalk, PackingHasABottom) {
  EXPECT_TRUE(problems_of(packed(16)).empty());
  EXPECT_EQ(problems_of(packed(17)).size(), 1u);
  EXPECT_EQ(problems_of(packed(3000)).size(), 1u);
}

}  // namespace
}  // namespace tulle::config
