// UvNetwork: TCP sockets on a loop of the libuv engine.
#include "core/net/listen_socket.hpp"
#include "core/net/network.hpp"
#include "core/net/tcp_acceptor.hpp"
#include "core/net/tcp_stream.hpp"

namespace tulle {

namespace {

class UvNetwork final : public Network {
 public:
  explicit UvNetwork(Loop& loop) : loop_(loop) {}

  Result<std::unique_ptr<Acceptor>> listen(const Address& at, const ListenOptions& options,
                                           Task& owner) override {
    Address real = at;
    auto socket = listen_socket(real, options);
    if (!socket) return socket.error();
    std::unique_ptr<Acceptor> made =
        std::make_unique<TcpAcceptor>(loop_, *socket, real, options, owner);
    return made;
  }

  using Network::connect;
  std::unique_ptr<ByteStream> connect(const Address& to, const ConnectOptions& options) override {
    auto* cell = new TcpCell(loop_, Origin::upstream, to);
    cell->connect(options);
    return std::make_unique<TcpStream>(*cell);
  }

 private:
  Loop& loop_;
};

}  // namespace

std::unique_ptr<Network> make_uv_network(Loop& loop) { return std::make_unique<UvNetwork>(loop); }

}  // namespace tulle
