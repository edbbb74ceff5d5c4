// SimulatedWire: one connection of the simulated network, with the part that a kernel would own.
//
// Owns both ends' sockets (SimulatedSocket): what was written and not sent, what is on the way, and
// what has arrived and was not read. A SimulatedStream is an owner's handle to a socket; it may go
// at any time. Everything that travels, opening and closing included, is a segment, so that order
// is kept by construction. Only core/net/simulated_*.cpp includes this.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "core/net/byte_stream.hpp"
#include "core/net/loop.hpp"
#include "core/net/simulated_engine.hpp"
#include "core/net/simulated_network.hpp"
#include "core/net/task.hpp"

namespace tulle {

class SimulatedStream;
class SimulatedWire;

class SimulatedSocket final : private SimulatedEvent {
 public:
  enum class Kind { syn, opened, refused, data, end, reset };
  struct Segment {
    Kind kind;
    Instant arrives;
    Bytes bytes;
  };
  enum class Phase { unborn, connecting, open, failed, closed };

  SimulatedSocket(SimulatedClock& clock, SimulatedWire& wire, int side, Origin peer_is);
  ~SimulatedSocket() override;

  // For the stream.
  void write(Bytes&& bytes);
  void shutdown();
  void push_out();     // the write stage
  void wake_reader();  // it wants to read (again)
  void close();
  void finish(Duration linger);
  void abort();
  void tell();  // whatever the present reader does not know yet
  size_t backlog() const { return unsent_.size(); }
  SimulatedSocket& other() const;

  // For the wire and the network.
  void enqueue(Kind kind, Bytes&& bytes = {});  // to arrive here
  void open(SimulatedStream* owner);
  void attach(SimulatedStream* owner) { stream_ = owner; }
  void forget_arriving();
  void sever() { severed_ = true; }
  void resume();
  void made_room();                  // the way out may have become free
  void start_connecting() { phase_ = Phase::connecting; }
  Phase phase() const { return phase_; }
  bool is_gone() const { return phase_ == Phase::unborn || phase_ == Phase::closed; }
  std::string missed_progress() const;

  Address local;
  Address peer;
  Address original_destination;

 private:
  class Linger;
  void happen() override;
  void take(Segment&& segment);
  void take_data(Bytes&& bytes);
  void read_some();
  void tell_open();
  void tell_lost();
  void reschedule();
  bool readable() const;
  size_t slice_size();
  size_t room() const;
  void fail(Code code, std::string_view what);
  void close_when_finished();

  SimulatedClock& clock_;
  SimulatedWire& wire_;
  const int side_;
  const Origin peer_is_;
  SimulatedStream* stream_ = nullptr;
  Phase phase_ = Phase::unborn;
  Bytes unsent_;
  Bytes inbox_;
  std::deque<Segment> arriving_;
  size_t arriving_bytes_ = 0;
  Instant last_arrival_{};
  std::unique_ptr<Error> failure_;
  std::unique_ptr<Linger> linger_;
  bool finishing_ = false;  // the owner has left by finish()
  bool end_arrived_ = false;
  bool output_ending_ = false;
  bool output_ended_ = false;
  bool severed_ = false;  // cut in the middle: what is written is answered by a reset
};

class SimulatedWire {
 public:
  SimulatedWire(SimulatedNetwork& network, uint64_t id);

  SimulatedNetwork& network() const { return network_; }
  uint64_t id() const { return id_; }
  SimulatedSocket& socket(int side) { return side == 0 ? client_ : server_; }
  const SimulatedSocket& socket(int side) const { return side == 0 ? client_ : server_; }
  void cut(Cut how);
  bool is_established() const;
  bool is_gone() const { return client_.is_gone() && server_.is_gone(); }
  bool stalls() const;
  const LinkOptions& link() const;
  const ChaosOptions& chaos() const;
  void count_bytes(size_t count) const;
  void arrived();  // the SYN has
  void reap_later() const;

  std::string from_ip;  // of the host that connects

 private:
  SimulatedNetwork& network_;
  const uint64_t id_;
  SimulatedSocket client_;
  SimulatedSocket server_;
  bool black_hole_ = false;
};

class SimulatedStream final : public ByteStream, private Flusher {
 public:
  SimulatedStream(Loop& loop, SimulatedSocket& socket);
  ~SimulatedStream() override;

  void start(Reader& reader) override;
  void want_read(bool wanted) override;
  void write(Bytes&& bytes) override;
  size_t backlog() const override { return socket_->backlog(); }
  void shutdown() override;
  const Address& peer_address() const override { return socket_->peer; }
  const Address& local_address() const override { return socket_->local; }
  Address original_destination() const override { return socket_->original_destination; }

 private:
  friend class SimulatedSocket;
  void flush() override;
  void tell_congested();
  void finish_detached(Duration linger) override;
  void abort_detached() override { std::exchange(socket_, nullptr)->abort(); }

  Loop& loop_;
  SimulatedSocket* socket_;
  Reader* reader_ = nullptr;
  bool wanted_ = true;
  bool open_told_ = false;
  bool end_told_ = false;
  bool lost_told_ = false;
  bool above_mark_ = false;
  bool congested_told_ = false;
};

}  // namespace tulle
