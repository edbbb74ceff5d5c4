// gRPC framing: whatever the bytes and wherever they are cut, the same messages come out, none is
// larger than the limit, and what is broken says why and reads nothing more. Statuses survive
// being written and read.
//
// Input: one byte, the size of the pieces (0: whole); one byte, the limit in units of 16 bytes;
// the stream of messages.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/http/grpc_message.hpp"

namespace tulle {
namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

struct Outcome {
  std::vector<std::string> messages;
  GrpcReader::State state = GrpcReader::State::empty;
  bool operator==(const Outcome&) const = default;
};

Outcome read(std::string_view bytes, size_t piece, size_t limit) {
  GrpcReader reader(limit, "");
  Outcome outcome;
  while (!bytes.empty() && reader.wanted() > 0) {
    const std::string_view part = bytes.substr(0, std::min(piece, reader.wanted()));
    reader.add(part);
    bytes.remove_prefix(part.size());
    if (reader.state() != GrpcReader::State::whole) continue;
    outcome.messages.push_back(reader.take());
    check(outcome.messages.back().size() <= limit, "messages are bounded");
  }
  outcome.state = reader.state();
  if (outcome.state == GrpcReader::State::broken) {
    check(!reader.problem().message.empty() && !reader.problem().ok(), "what is broken says why");
    check(bytes.empty() || reader.wanted() == 0, "nothing is read after that");
  }
  return outcome;
}

void run(std::string_view input) {
  if (input.size() < 2) return;
  const size_t piece = static_cast<unsigned char>(input[0]);
  const size_t limit = static_cast<unsigned char>(input[1]) * size_t{16};
  input.remove_prefix(2);
  const Outcome whole = read(input, SIZE_MAX, limit);
  check(read(input, piece == 0 ? SIZE_MAX : piece, limit) == whole, "pieces do not matter");
  std::string again;
  for (const std::string& message : whole.messages) again += grpc_prefix(message.size()) + message;
  check(input.starts_with(again), "messages are what was sent");

  check(percent_decode(percent_encode(input)) == input, "text survives");
  Fields fields;
  fields.add(FieldId::grpc_status, input.substr(0, 8));
  fields.add(FieldId::grpc_message, input);
  check(status_in(fields).has_value(), "every status is one");
}

}  // namespace
}  // namespace tulle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tulle::run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
