#include "tests/support/pair_network.hpp"

#include <optional>
#include <utility>

namespace tulle::testing {
namespace {

// A stream that never opens: it fails with an error, or nothing is ever heard of it.
class UnopenedStream final : public ByteStream, private Task {
 public:
  UnopenedStream(Loop& loop, const Address& to, std::optional<Error> why)
      : Task(loop), to_(to), why_(std::move(why)) {}

  void start(Reader& reader) override {
    reader_ = &reader;
    if (why_) wake();
  }
  void want_read(bool) override {}
  void write(Bytes&& bytes) override { bytes.clear(); }
  size_t backlog() const override { return 0; }
  void shutdown() override {}
  const Address& peer_address() const override { return to_; }
  const Address& local_address() const override { return local_; }

 private:
  void run() override {
    if (why_) reader_->on_end(std::exchange(why_, std::nullopt));
  }
  void finish_detached(Duration) override {}
  void abort_detached() override {}

  const Address to_;
  const Address local_;
  std::optional<Error> why_;
  Reader* reader_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Acceptor>> PairNetwork::listen(const Address&, const ListenOptions&, Task&) {
  return Error{Code::not_implemented, Origin::local, "servers adopt() what PairNetwork connects"};
}

std::unique_ptr<ByteStream> PairNetwork::connect(const Address& to, const ConnectOptions&) {
  ++connects;
  switch (mode == Mode::serve && server == nullptr ? Mode::refuse : mode) {
    case Mode::refuse: {
      Error refused{Code::connect_failed, Origin::upstream, "connect: connection refused"};
      return std::make_unique<UnopenedStream>(loop_, to, std::move(refused));
    }
    case Mode::silent: return std::make_unique<UnopenedStream>(loop_, to, std::nullopt);
    case Mode::serve:
    case Mode::hold: break;
  }
  auto [near, far] = MemoryStream::pair(loop_, wire);
  last_near = near.get();
  last_far = far.get();
  if (mode == Mode::hold) {
    held.push_back(std::move(far));
  } else {
    server->adopt(std::move(far));
  }
  return std::move(near);
}

}  // namespace tulle::testing
