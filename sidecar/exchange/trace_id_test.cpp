#include "sidecar/exchange/trace_id.hpp"

#include <gtest/gtest.h>

namespace tulle::exchange {
namespace {

std::string id_in(std::string_view traceparent) {
  Head request;
  request.fields.add(FieldId::traceparent, traceparent);
  return std::string(trace_id_of(request));
}

TEST(TraceId, IsReadFromAValidTraceparent) {
  EXPECT_EQ(id_in("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            "4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST(TraceId, IsEmptyWhenAbsentOrMalformed) {
  EXPECT_EQ(trace_id_of(Head{}), "");
  EXPECT_EQ(id_in(""), "");
  EXPECT_EQ(id_in("00-4bf92f3577b34da6a3ce929d0e0e4736"), "");
  EXPECT_EQ(id_in("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"), "");
  EXPECT_EQ(id_in("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), "");
}

}  // namespace
}  // namespace tulle::exchange
