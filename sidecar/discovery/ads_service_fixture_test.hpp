// AdsService: a control plane as far as tests of sidecars need one. It answers ADS streams, made of
// server sessions, with whatever a test has put into it; what a real one would build is the test's
// business.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/http/grpc_stream.hpp"
#include "core/http/server.hpp"
#include "core/net/loop.hpp"
#include "xds/server_session.hpp"

namespace tulle::discovery::testing {

class AdsService;

// One sidecar's stream.
class AdsStream final : public Task {
 public:
  AdsStream(AdsService& service, Loop& loop, StreamRef stream);
  ~AdsStream() override;

  void offer_all();
  void end(const GrpcStatus& status) {
    if (stream_) stream_->finish(status);
    wake();
  }

  xds::ServerSession session{{.control_plane = "fake"}};
  std::string peer;  // its SPIFFE ID

 private:
  void run() override;
  void offer(xds::ResourceType type);

  AdsService& service_;
  std::optional<GrpcStream> stream_;
};

// What exists, and who is connected. Outlives the server in front of it.
class AdsService : public Service {
 public:
  explicit AdsService(Loop& loop) : loop_(loop) {}

  // To whoever is connected: all that is in `content` now.
  void push() {
    for (AdsStream* each : streams) each->offer_all();
  }
  std::unique_ptr<Task> serve(StreamRef stream) override {
    ++opened;
    return std::make_unique<AdsStream>(*this, loop_, std::move(stream));
  }

  // Listeners with a port in their name go to who asks for them, all others to everybody.
  xds::ResourceSet content;
  // Listeners that are answered not to exist; other names are met with silence. Nothing: whatever
  // is asked for and not there is answered.
  std::optional<std::set<std::string>> unknown;
  bool mute = false;

  std::vector<AdsStream*> streams;
  std::vector<GrpcCode> ends;  // how clients ended their streams
  int opened = 0;
  int requests = 0;

 private:
  Loop& loop_;
};

inline AdsStream::AdsStream(AdsService& service, Loop& loop, StreamRef stream)
    : Task(loop), service_(service) {
  Task& self = *this;
  EXPECT_EQ(stream->head()->path, xds::kAdsPath);
  if (stream->peer() != nullptr) peer = stream->peer()->spiffe_id;
  stream_.emplace(std::move(stream), self, 64 * 1024 * 1024);
  stream_->open();
  service_.streams.push_back(this);
}

inline AdsStream::~AdsStream() { std::erase(service_.streams, this); }

inline void AdsStream::offer_all() {
  for (const xds::ResourceType type : xds::kSendOrder) offer(type);
  wake();
}

inline void AdsStream::offer(xds::ResourceType type) {
  if (!session.state(type).subscribed) return;
  const auto& names = session.subscription(type).names();
  xds::Offer offer;
  offer.resources = service_.content.all(type);
  if (type == xds::ResourceType::listener) {
    std::erase_if(offer.resources, [&](const auto& entry) {
      return entry.first.find(':') != std::string::npos && !names.contains(entry.first);
    });
  }
  for (const std::string& name : names) {
    const bool answered = service_.unknown ? type == xds::ResourceType::listener &&
                                                 service_.unknown->contains(name)
                                           : !offer.resources.contains(name);
    if (answered) offer.errors[name] = {xds::kStatusNotFound, "no such service"};
  }
  session.offer(type, std::move(offer));
}

inline void AdsStream::run() {
  if (!stream_) return;
  stream_->advance();
  while (const std::optional<std::string> message = stream_->receive()) {
    ++service_.requests;
    EXPECT_TRUE(session.receive(*message, loop_.now()).has_value());
  }
  if (!session.take_changed_subscriptions().empty()) offer_all();
  while (!service_.mute && stream_->can_send()) {
    std::optional<std::string> response = session.next_response(loop_.now());
    if (!response) break;
    stream_->send(std::move(*response));
  }
  if (stream_->ended()) {
    service_.ends.push_back(stream_->status().code);
    stream_->finish({});
  }
  if (stream_->over()) stream_.reset();
}

}  // namespace tulle::discovery::testing
