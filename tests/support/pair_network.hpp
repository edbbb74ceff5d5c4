// PairNetwork: connects by MemoryStream to a Server in the same loop; or refuses, or keeps silent.
#pragma once

#include <memory>
#include <vector>

#include "core/http/server.hpp"
#include "core/net/memory_stream.hpp"
#include "core/net/network.hpp"

namespace tulle::testing {

class PairNetwork final : public Network {
 public:
  enum class Mode {
    serve,    // the far end goes to `server`; null refuses
    hold,     // connected, but nobody is there: the far end is kept in `held`
    refuse,   // connect_failed
    silent,   // neither connected nor refused
  };
  explicit PairNetwork(Loop& loop) : loop_(loop) {}

  Result<std::unique_ptr<Acceptor>> listen(const Address& at, const ListenOptions& options,
                                           Task& owner) override;
  using Network::connect;
  std::unique_ptr<ByteStream> connect(const Address& to, const ConnectOptions& options) override;

  Mode mode = Mode::serve;
  Server* server = nullptr;
  MemoryStreamOptions wire;
  int connects = 0;
  std::vector<std::unique_ptr<MemoryStream>> held;
  MemoryStream* last_near = nullptr;  // dangle once their connections are gone
  MemoryStream* last_far = nullptr;

 private:
  Loop& loop_;
};

}  // namespace tulle::testing
