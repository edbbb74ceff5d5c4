#include "sidecar/exchange/outcome.hpp"

#include <gtest/gtest.h>

namespace tulle::exchange {
namespace {

using policies::End;

Head answer(int status, std::string_view error = {}) {
  Head head;
  head.status = status;
  if (!error.empty()) head.fields.add(FieldId::tulle_error, error);
  return head;
}

policies::Outcome outcome_of(const Head& answer, bool from_mesh) {
  return answer_outcome(answer, answer.fields, from_mesh);
}

TEST(Outcome, ANeighbourIsBelievedWhatItMet) {
  EXPECT_EQ(outcome_of(answer(502, "connect_failed"), true).end, End::unconnected);
  EXPECT_EQ(outcome_of(answer(503, "circuit_open"), true).end, End::refused);
  EXPECT_EQ(outcome_of(answer(502, "upstream_reset"), true).end, End::reset);
  EXPECT_EQ(outcome_of(answer(504, "request_timeout"), true).end, End::answered);
  EXPECT_EQ(outcome_of(answer(403, "denied"), true).end, End::answered);
}

TEST(Outcome, NobodyElseIs) {
  EXPECT_EQ(outcome_of(answer(502, "connect_failed"), false).end, End::answered);
  Head retried = answer(503);
  retried.fields.add(FieldId::tulle_retried, "1");
  EXPECT_FALSE(outcome_of(retried, false).hop_exhausted);
  EXPECT_TRUE(outcome_of(retried, true).hop_exhausted);
}

TEST(Outcome, AGrpcStatusCountsAsTheHttpStatusItResembles) {
  Head unavailable = answer(200);
  unavailable.fields.add(FieldId::grpc_status, "14");
  EXPECT_EQ(outcome_of(unavailable, false).status, 503);
  EXPECT_EQ(outcome_of(unavailable, false).grpc_status, 14);
  Head not_found = answer(200);
  not_found.fields.add(FieldId::grpc_status, "5");
  EXPECT_EQ(outcome_of(not_found, false).status, 200);
}

TEST(Outcome, AGrpcStatusInTheTrailersOfAnEmptyAnswerCounts) {
  Fields trailers;
  trailers.add(FieldId::grpc_status, "14");
  EXPECT_EQ(answer_outcome(answer(200), trailers, false).status, 503);
  EXPECT_EQ(answer_outcome(answer(200), trailers, false).grpc_status, 14);
}

}  // namespace
}  // namespace tulle::exchange
