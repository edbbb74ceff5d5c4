#include "core/http/grpc_message.hpp"

#include <algorithm>
#include <utility>

namespace tulle {

std::string grpc_prefix(size_t length) {
  ASSERT(length <= UINT32_MAX);
  std::string prefix(kGrpcPrefix, '\0');
  for (size_t i = 1; i < kGrpcPrefix; ++i) {
    prefix[i] = static_cast<char>(length >> (8 * (kGrpcPrefix - 1 - i)));
  }
  return prefix;
}

size_t GrpcReader::wanted() const {
  if (state_ == State::whole || state_ == State::broken) return 0;
  if (prefix_size_ < kGrpcPrefix) return kGrpcPrefix - prefix_size_;
  return length_ - message_.size();
}

void GrpcReader::add(ByteView bytes) {
  ASSERT(bytes.size() <= wanted());
  if (bytes.empty()) return;
  state_ = State::partial;
  if (prefix_size_ < kGrpcPrefix) {
    for (const char c : bytes) prefix_[prefix_size_++] = static_cast<unsigned char>(c);
    if (prefix_size_ == kGrpcPrefix) begin_message();
    return;
  }
  // Grows with what has come, not with what was announced.
  message_.append(bytes);
  if (message_.size() == length_) state_ = State::whole;
}

void GrpcReader::begin_message() {
  length_ = 0;
  for (size_t i = 1; i < kGrpcPrefix; ++i) length_ = length_ << 8 | prefix_[i];
  const auto breaks = [&](GrpcCode code, std::string why) {
    state_ = State::broken;
    problem_ = {code, std::move(why)};
  };
  if (prefix_[0] == 1 && !encoding_.empty() && encoding_ != "identity") {
    return breaks(GrpcCode::unimplemented,
                  "grpc-encoding " + encoding_ + " is not supported; identity is");
  }
  if (prefix_[0] != 0) {
    return breaks(GrpcCode::internal, prefix_[0] == 1
                                          ? "a compressed message without a grpc-encoding"
                                          : "not a gRPC message: its first byte is neither 0 nor 1");
  }
  if (length_ > max_message_) {
    return breaks(GrpcCode::resource_exhausted,
                  "a message of " + std::to_string(length_) + " bytes is larger than the limit of " +
                      std::to_string(max_message_));
  }
  if (length_ == 0) state_ = State::whole;
}

void GrpcReader::read(Stream& stream) {
  while (wanted() > 0 && stream.readable() > 0) {
    const Bytes part = stream.receive(std::min(wanted(), stream.readable()));
    for (size_t i = 0; i < part.slice_count(); ++i) add(part.slice(i));
  }
}

std::string GrpcReader::take() {
  ASSERT(state_ == State::whole);
  state_ = State::empty;
  prefix_size_ = 0;
  return std::exchange(message_, {});
}

void GrpcWriter::begin(std::string message) {
  ASSERT(idle());
  prefix_ = grpc_prefix(message.size());
  message_ = std::move(message);
  sent_ = 0;
}

void GrpcWriter::write(Stream& stream) {
  while (!idle()) {
    const size_t room = stream.room();
    if (room == 0) return;
    const bool in_prefix = sent_ < prefix_.size();
    const std::string_view rest = in_prefix ? std::string_view(prefix_).substr(sent_)
                                            : std::string_view(message_).substr(
                                                  sent_ - prefix_.size());
    const std::string_view part = rest.substr(0, room);
    stream.send(Bytes(part));
    sent_ += part.size();
  }
  // A large message does not stay.
  prefix_.clear();
  message_ = {};
  sent_ = 0;
}

}  // namespace tulle
