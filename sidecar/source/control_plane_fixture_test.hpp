// FakeControlPlane: serves whatever a test puts into it to ADS streams, over mutual TLS on a simulated
// network. What the real one would build for a node is the test's business.
#pragma once

#include <gtest/gtest.h>

#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "core/http/grpc_stream.hpp"
#include "core/http/server.hpp"
#include "core/net/loop.hpp"
#include "xds/server_session.hpp"

namespace tulle::source::testing {

class FakeControlPlane final : public Service {
 public:
  FakeControlPlane(Loop& loop, Network& network, const Address& at,
                   std::shared_ptr<const TlsContext> tls)
      : loop_(loop), server_(loop, *this, options_of(std::move(tls))) {
    EXPECT_TRUE(server_.listen(network, at, {}));
  }

  // Destinations go to who asks for them; all other listeners to everybody.
  xds::ResourceSet content;
  std::set<std::string> unknown;  // answered not to exist; other names are met with silence

  void changed() {
    for (Call* call : calls_) call->changed();
  }
  size_t streams() const { return calls_.size(); }
  std::optional<xds::Node> node() const {
    return calls_.empty() ? std::nullopt : calls_.back()->session().node();
  }
  std::string rejection(xds::ResourceType type) const {
    const auto state = calls_.back()->session().state(type);
    return state.rejection ? state.rejection->text : "";
  }
  bool synced() const { return !calls_.empty() && calls_.back()->session().synced(); }
  bool asked_for(xds::ResourceType type, const std::string& name) const {
    return !calls_.empty() && calls_.back()->session().subscription(type).names().contains(name);
  }

  std::unique_ptr<Task> serve(StreamRef stream) override {
    return std::make_unique<Call>(*this, std::move(stream));
  }

 private:
  class Call final : public Task {
   public:
    Call(FakeControlPlane& owner, StreamRef stream)
        : Task(owner.loop_),
          owner_(owner),
          session_({.control_plane = "fake"}) {
      Task& self = *this;
      stream_.emplace(std::move(stream), self, 64 * 1024 * 1024);
      owner_.calls_.push_back(this);
      wake();
    }
    ~Call() override { owner_.calls_.remove(this); }
    const xds::ServerSession& session() const { return session_; }
    void changed() {
      for (const xds::ResourceType type : xds::kResourceTypes) offer(type);
      wake();
    }

   private:
    void run() override {
      if (!stream_) return;
      stream_->advance();
      while (const std::optional<std::string> message = stream_->receive()) {
        EXPECT_TRUE(session_.receive(*message, loop_.now()));
      }
      for (const xds::ResourceType type : session_.take_changed_subscriptions()) offer(type);
      if (stream_->ended()) {
        stream_.reset();
        owner_.calls_.remove(this);
        return;
      }
      while (stream_->can_send()) {
        std::optional<std::string> response = session_.next_response(loop_.now());
        if (!response) break;
        stream_->send(std::move(*response));
      }
    }

    void offer(xds::ResourceType type) {
      if (!session_.state(type).subscribed) return;
      const auto& names = session_.subscription(type).names();
      xds::Offer offer;
      for (const auto& [name, resource] : owner_.content.all(type)) {
        const bool own = type == xds::ResourceType::listener && name.find(':') == std::string::npos;
        if (own || names.contains(name)) offer.resources.emplace(name, resource);
      }
      for (const std::string& name : names) {
        if (type == xds::ResourceType::listener && owner_.unknown.contains(name)) {
          offer.errors[name] = {xds::kStatusNotFound, "no such service"};
        }
      }
      session_.offer(type, std::move(offer));
    }

    FakeControlPlane& owner_;
    std::optional<GrpcStream> stream_;
    xds::ServerSession session_;
  };

  static Server::Options options_of(std::shared_ptr<const TlsContext> tls) {
    Server::Options options;
    options.protocol = Protocol::http2;
    options.tls = std::move(tls);
    return options;
  }

  Loop& loop_;
  std::list<Call*> calls_;
  Server server_;  // last: it ends the calls
};

}  // namespace tulle::source::testing
