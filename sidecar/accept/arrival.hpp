// Arrival: a connection of which is not known yet whom it is for.
//
// Owns its byte stream and what has been read of it until it is handed over. What its destination
// is declared to speak comes first; else the first bytes decide (sniff()). While the client is
// silent, on listeners that allow it, the upstream is dialled as opaque TCP: if the server speaks
// first the connection is opaque for good; if the client does it is looked at after all, and HTTP
// drops what was dialled.
//
//   locating -> looking -> over
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/list.hpp"
#include "core/net/byte_stream.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"
#include "sidecar/accept/sniff.hpp"
#include "sidecar/tcp/relay.hpp"

namespace tulle::accept {

class ChainGateway;
struct ArrivalTag {};

class Arrival final : public Task, public ListNode<ArrivalTag>, private ByteStream::Reader {
 public:
  Arrival(ChainGateway& gateway, std::unique_ptr<ByteStream> bytes);
  ~Arrival() override;

  void retire();  // the listener drains: what has not said anything is closed

  Instant accepted() const { return accepted_; }
  const Address& original_destination() const { return original_; }
  const Sniffed& sniffed() const { return sniffed_; }
  const std::string& destination_version() const { return destination_version_; }
  bool external() const { return external_; }

 private:
  enum class Phase : uint8_t { locating, looking, over };

  void run() override;
  void on_bytes(ByteView bytes) override;
  void on_end(std::optional<Error> why) override;
  void on_lost(Error why) override;

  bool locate();
  bool look();
  bool decide();
  bool silent();
  bool follow_early();
  std::shared_ptr<const config::TcpProxy> proxy_of(const config::FilterChain& chain) const;
  const config::FilterChain* chain_for(const Sniffed& sniffed) const;
  void hand_over(const config::FilterChain& chain);
  void relay(std::shared_ptr<const config::TcpProxy> proxy, const config::FilterChain* chain);
  std::unique_ptr<ByteStream> take_stream();
  void refuse(Error error);
  void close();

  ChainGateway& gateway_;
  std::unique_ptr<ByteStream> bytes_;
  std::shared_ptr<const config::ListenerConfig> config_;  // of the moment it was accepted
  Bytes seen_;
  Sniffed sniffed_;
  Address original_;            // unset: it came to the listener itself
  tcp::DestinationSearch search_;
  // What the destination says, where the listener goes by original destinations.
  enum class Declared : uint8_t { nothing, http, either };
  Declared declared_ = Declared::nothing;
  std::shared_ptr<const config::TcpProxy> destination_tcp_;
  std::string destination_version_;
  std::unique_ptr<tcp::Relay> early_;
  std::shared_ptr<const config::TcpProxy> early_proxy_;
  std::optional<Error> failure_;
  Timer timer_;
  Instant accepted_;
  Instant first_byte_ = kNever;
  Phase phase_ = Phase::locating;
  bool external_ = false;
  bool ended_ = false;
  bool tried_early_ = false;
};

}  // namespace tulle::accept
