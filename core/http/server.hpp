// Server: a listening socket whose connections are served by one Service.
//
// Owns the acceptor and every connection that came from it, and reaps connections that are over.
#pragma once

#include <memory>

#include "core/base/list.hpp"
#include "core/http/connection.hpp"
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
  void adopt(std::unique_ptr<ByteStream> bytes);     // a stream accepted by somebody else
  void set_tls(std::shared_ptr<const TlsContext> tls);  // for handshakes that begin from now on
  void stop_accepting();                             // closes the listening socket
  void drain();                                      // stop_accepting, and retire every connection
  bool drained() const { return connections_ == 0; }
  size_t connections() const { return connections_; }
  const Address& local_address() const;
  void set_owner(Task* owner) { owner_ = owner; }    // woken when the number of connections changes

 private:
  void run() override;

  Service& service_;
  Options options_;
  std::unique_ptr<Acceptor> acceptor_;
  List<Connection, ConnectionTag> live_;
  size_t connections_ = 0;
  Task* owner_ = nullptr;
  bool draining_ = false;
};

}  // namespace tulle
