// Server: a listening socket whose connections are served by one Service.
//
// Owns the acceptor and every connection that came from it, and reaps connections that are over.
// Destroying it destroys connections, their streams and the streams' handlers; the Service must
// still be there then.
#pragma once

#include <memory>

#include "core/http/connection.hpp"
#include "core/http/roster.hpp"
#include "core/http/shedding.hpp"
#include "core/net/network.hpp"
#include "core/net/task.hpp"
#include "core/net/tls.hpp"

namespace tulle {

class Server : private Task {
 public:
  struct Options {
    Protocol protocol = Protocol::negotiated;
    HttpLimits limits;
    std::shared_ptr<const TlsContext> tls;      // null: plaintext
    Duration tls_handshake_timeout = std::chrono::seconds(5);
    size_t max_connections = 10000;             // above: accepting pauses until one ends
  };
  Server(Loop& loop, Service& service, Options options);
  ~Server() override;

  Result<void> listen(Network& network, const Address& at, const ListenOptions& options);
  // A stream accepted by somebody else; `captured`: where it wanted to go, unset: here.
  void adopt(std::unique_ptr<ByteStream> bytes, const Address& captured = {});
  void set_tls(std::shared_ptr<const TlsContext> tls);  // for handshakes that begin from now on
  // From now on, for HTTP/1 connections that are there too. Those of HTTP/2 keep what they announced.
  void set_limits(const HttpLimits& limits) { options_.limits = limits; }
  void hold_accepting(bool held);                    // while memory is short
  // Until about so many bytes will come back. Returns how many will.
  size_t shed(Sheds what, size_t bytes, Instant now) {
    return tulle::shed(roster_, what, bytes, now);
  }
  void stop_accepting();                             // closes the listening socket
  void drain();                                      // stop_accepting, and retire every connection
  void close_all(Code why);                          // drain, and fail what still runs
  bool drained() const { return roster_.count() == 0; }
  size_t connections() const { return roster_.count(); }
  const Address& local_address() const { return local_address_; }
  void set_owner(Task* owner) { owner_ = owner; }    // woken when the number of connections changes

 private:
  void run() override;
  void take_arrivals();
  void add(std::unique_ptr<ByteStream> bytes, const Address& captured = {});

  Service& service_;
  Options options_;
  std::shared_ptr<const TlsContext> tls_;
  std::unique_ptr<Acceptor> acceptor_;
  Roster roster_;
  Address local_address_;
  Task* owner_ = nullptr;
  bool paused_ = false;
  bool held_ = false;
  bool draining_ = false;
};

}  // namespace tulle
