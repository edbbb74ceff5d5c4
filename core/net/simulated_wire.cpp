#include "core/net/simulated_wire.hpp"

namespace tulle {

SimulatedWire::SimulatedWire(SimulatedNetwork& network, uint64_t id)
    : network_(network),
      id_(id),
      client_(network.clock_, *this, 0, Origin::upstream),
      server_(network.clock_, *this, 1, Origin::downstream) {}

void SimulatedWire::cut(Cut how) {
  ++network_.counters_.cuts;
  network_.clock_.note("cut", id_ << 4 | static_cast<uint64_t>(how));
  if (how == Cut::black_hole) {
    black_hole_ = true;
    client_.resume();
    server_.resume();
    return;
  }
  const bool reset = how == Cut::reset;
  for (SimulatedSocket* socket : {&client_, &server_}) {
    if (reset)
      socket->forget_arriving();
    socket->sever();
    socket->enqueue(reset ? SimulatedSocket::Kind::reset : SimulatedSocket::Kind::end);
    socket->made_room();  // what waited for room is answered by a reset now
  }
}

bool SimulatedWire::is_established() const {
  return client_.phase() == SimulatedSocket::Phase::open &&
         server_.phase() == SimulatedSocket::Phase::open;
}

bool SimulatedWire::stalls() const {
  return black_hole_ || network_.is_partitioned(client_.local, server_.local);
}

const LinkOptions& SimulatedWire::link() const {
  return network_.link(client_.local, server_.local);
}

const ChaosOptions& SimulatedWire::chaos() const {
  return network_.chaos_;
}
void SimulatedWire::count_bytes(size_t count) const {
  network_.counters_.bytes += count;
}
void SimulatedWire::arrived() {
  network_.arrive(*this, from_ip);
}
void SimulatedWire::reap_later() const {
  network_.reap_later();
}

// ---- SimulatedStream ------------------------------------------------------------------------

SimulatedStream::SimulatedStream(Loop& loop, SimulatedSocket& socket)
    : Flusher(loop, Flusher::Stage::write), loop_(loop), socket_(&socket) {}

SimulatedStream::~SimulatedStream() {
  if (socket_ != nullptr)
    socket_->close();
}

void SimulatedStream::start(Reader& reader) {
  reader_ = &reader;
  open_told_ = false;
  end_told_ = false;
  lost_told_ = false;
  congested_told_ = false;
  flush_later();  // the write stage tells it what there is to tell
  socket_->wake_reader();
}

void SimulatedStream::want_read(bool wanted) {
  wanted_ = wanted;
  if (wanted)
    socket_->wake_reader();
}

void SimulatedStream::write(Bytes&& bytes) {
  socket_->write(std::move(bytes));
  above_mark_ = above_mark_ || backlog() >= kBacklogMark;
  flush_later();
}

void SimulatedStream::shutdown() {
  socket_->shutdown();
  flush_later();
}

void SimulatedStream::flush() {
  socket_->tell();
  socket_->push_out();
  tell_congested();
  if (!above_mark_ || backlog() >= kBacklogMark / 2)
    return;
  above_mark_ = false;
  if (reader_ != nullptr)
    reader_->on_drain();
}

void SimulatedStream::tell_congested() {
  if (reader_ == nullptr || congested_told_ == (backlog() > 0))
    return;
  congested_told_ = !congested_told_;
  reader_->on_congested(congested_told_);
}

void SimulatedStream::finish_detached(Duration linger) {
  std::exchange(socket_, nullptr)->finish(linger);
}

}  // namespace tulle
