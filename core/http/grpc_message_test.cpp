#include "core/http/grpc_message.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace tulle {
namespace {

std::string framed(std::string_view message, char flag = 0) {
  std::string bytes = grpc_prefix(message.size());
  bytes[0] = flag;
  return bytes.append(message);
}

// Feeds pieces of this size, as far as the reader asks.
std::vector<std::string> read_all(GrpcReader& reader, std::string_view bytes, size_t piece) {
  std::vector<std::string> messages;
  while (!bytes.empty()) {
    std::string_view arrived = bytes.substr(0, piece);
    bytes.remove_prefix(arrived.size());
    while (!arrived.empty()) {
      const std::string_view part = arrived.substr(0, reader.wanted());
      if (part.empty()) return messages;  // broken
      reader.add(part);
      arrived.remove_prefix(part.size());
      if (reader.state() == GrpcReader::State::whole) messages.push_back(reader.take());
    }
  }
  return messages;
}

TEST(GrpcReader, TheSameMessagesWhateverThePieces) {
  const std::vector<std::string> sent{"one", "", std::string(70'000, 'x'), "4"};
  std::string bytes;
  for (const std::string& message : sent) bytes += framed(message);
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{4}, size_t{5}, size_t{6}, size_t{1000},
                             bytes.size()}) {
    GrpcReader reader(100'000, "");
    EXPECT_EQ(read_all(reader, bytes, piece), sent) << piece;
    EXPECT_EQ(reader.state(), GrpcReader::State::empty);
  }
}

TEST(GrpcReader, AMessageAtTheLimitAndOneBeyond) {
  GrpcReader reader(10, "");
  EXPECT_EQ(read_all(reader, framed("0123456789"), 3).size(), 1u);
  EXPECT_TRUE(read_all(reader, framed("0123456789a"), 3).empty());
  EXPECT_EQ(reader.state(), GrpcReader::State::broken);
  EXPECT_EQ(reader.problem().code, GrpcCode::resource_exhausted);
  EXPECT_EQ(reader.problem().message, "a message of 11 bytes is larger than the limit of 10");
  EXPECT_EQ(reader.wanted(), 0u);
}

TEST(GrpcReader, AnAnnouncedLengthTakesNoMemory) {
  GrpcReader reader(UINT32_MAX, "");
  reader.add(std::string_view("\0\xff\xff\xff\xff", 5));
  EXPECT_EQ(reader.state(), GrpcReader::State::partial);
  reader.add("x");
  EXPECT_EQ(reader.wanted(), UINT32_MAX - size_t{1});
}

TEST(GrpcReader, CompressedMessagesAreRefused) {
  struct Case {
    char flag;
    const char* encoding;
    GrpcCode code;
  };
  for (const Case& each : {Case{1, "", GrpcCode::internal}, Case{1, "identity", GrpcCode::internal},
                           Case{1, "gzip", GrpcCode::unimplemented},
                           Case{2, "", GrpcCode::internal}, Case{'G', "gzip", GrpcCode::internal}}) {
    GrpcReader reader(100, each.encoding);
    EXPECT_TRUE(read_all(reader, framed("x", each.flag), 1).empty());
    ASSERT_EQ(reader.state(), GrpcReader::State::broken);
    EXPECT_EQ(reader.problem().code, each.code) << each.encoding;
    EXPECT_FALSE(reader.problem().message.empty());
  }
  GrpcReader reader(100, "gzip");  // named, but not used
  EXPECT_EQ(read_all(reader, framed("x"), 1).size(), 1u);
}

TEST(GrpcStatus, MessagesSurviveTheWire) {
  for (const std::string text : {"", "plain", "100 %", "%41", "ünï\n\t\x01", "%"}) {
    const std::string encoded = percent_encode(text);
    for (const char c : encoded) EXPECT_TRUE(c >= 0x20 && c <= 0x7e);
    EXPECT_EQ(percent_decode(encoded), text);
    Fields fields;
    add_status(fields, {GrpcCode::not_found, text});
    const std::optional<GrpcStatus> read = status_in(fields);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->code, GrpcCode::not_found);
    EXPECT_EQ(read->message, text);
  }
  EXPECT_EQ(percent_decode("%4"), "%4");
  EXPECT_EQ(percent_decode("%zz%41"), "%zzA");
}

TEST(GrpcStatus, WhatIsNoStatusIsUnknown) {
  for (const char* text : {"", "17", "-1", "1x", "999999999999"}) {
    Fields fields;
    fields.add(FieldId::grpc_status, text);
    ASSERT_TRUE(status_in(fields));
    EXPECT_EQ(status_in(fields)->code, GrpcCode::unknown) << text;
  }
  EXPECT_FALSE(status_in(Fields{}));
}

TEST(GrpcStatus, OfHttpAndOfFailures) {
  const auto code = [](int http) { return status_of_http(http).code; };
  EXPECT_EQ(code(400), GrpcCode::internal);
  EXPECT_EQ(code(401), GrpcCode::unauthenticated);
  EXPECT_EQ(code(403), GrpcCode::permission_denied);
  EXPECT_EQ(code(404), GrpcCode::unimplemented);
  for (const int http : {429, 502, 503, 504}) EXPECT_EQ(code(http), GrpcCode::unavailable);
  EXPECT_EQ(code(500), GrpcCode::unknown);
  EXPECT_EQ(code(200), GrpcCode::unknown);
  EXPECT_EQ(status_of_failure({Code::refused_stream}).code, GrpcCode::unavailable);
  EXPECT_EQ(status_of_failure({Code::cancelled}).code, GrpcCode::cancelled);
  EXPECT_EQ(status_of_failure({Code::protocol_error}).code, GrpcCode::internal);
  EXPECT_EQ(status_of_failure({Code::request_timeout}).code, GrpcCode::deadline_exceeded);
  EXPECT_EQ((GrpcStatus{GrpcCode::unavailable, "gone"}.to_string()), "UNAVAILABLE: gone");
}

}  // namespace
}  // namespace tulle
