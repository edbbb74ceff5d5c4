#include "core/net/simulated_network.hpp"

#include <algorithm>
#include <deque>

#include "core/net/simulated_wire.hpp"

namespace tulle {

// Erases connections that both ends have left, when nothing of them is on the stack.
class SimulatedNetwork::Reaper final : public SimulatedEvent {
 public:
  Reaper(SimulatedClock& clock, SimulatedNetwork& network)
      : SimulatedEvent(clock), clock_(clock), network_(network) {}
  void soon() {
    if (!scheduled())
      schedule(clock_.now());
  }

 private:
  void happen() override { network_.reap(); }
  SimulatedClock& clock_;
  SimulatedNetwork& network_;
};

// A listening socket: connections that were opened wait here until they are accepted, also those
// whose client has left again meanwhile.
class SimulatedAcceptor final : public Acceptor {
 public:
  SimulatedAcceptor(SimulatedNetwork& network, std::string ip, const Address& at,
                    const ListenOptions& options, Task& owner)
      : network_(network), ip_(std::move(ip)), at_(at), options_(options), owner_(owner) {
    network_.listeners_.push_back(this);
  }
  ~SimulatedAcceptor() override {
    std::erase(network_.listeners_, this);
    for (SimulatedSocket* socket : waiting_) {
      socket->other().enqueue(SimulatedSocket::Kind::reset);
      socket->close();
    }
  }

  std::unique_ptr<ByteStream> accept() override {
    if (paused_ || waiting_.empty())
      return nullptr;
    SimulatedSocket& socket = *waiting_.front();
    waiting_.pop_front();
    ++network_.counters_.accepted;
    auto stream = std::make_unique<SimulatedStream>(owner_.loop(), socket);
    socket.attach(stream.get());
    return stream;
  }
  void pause(bool paused) override {
    paused_ = paused;
    if (!paused && !waiting_.empty())
      owner_.wake();
  }
  const Address& local_address() const override { return at_; }

  void arrive(SimulatedSocket& socket) {
    waiting_.push_back(&socket);
    if (!paused_)
      owner_.wake();
  }
  bool is_full() const { return waiting_.size() >= static_cast<size_t>(options_.backlog); }
  bool is_at(const std::string& ip, const Address& to) const {
    if (at_.port() != to.port())
      return false;
    const bool here = to.is_loopback() || ip_ == to.ip();
    const bool any = at_.ip() == "0.0.0.0" || at_.ip() == "::";
    return (!to.is_loopback() || ip == ip_) && (at_ == to || (any && here));
  }
  bool clashes_with(const std::string& ip, const Address& at, const ListenOptions& options) const {
    return ip == ip_ && at == at_ && !(options.reuse_port && options_.reuse_port);
  }
  bool listens_on(const std::string& ip, uint16_t port) const {
    return ip == ip_ && at_.port() == port;
  }

 private:
  SimulatedNetwork& network_;
  const std::string ip_;
  const Address at_;
  const ListenOptions options_;
  Task& owner_;
  std::deque<SimulatedSocket*> waiting_;
  bool paused_ = false;
};

class SimulatedHost final : public Network {
 public:
  SimulatedHost(SimulatedNetwork& network, Loop& loop, std::string ip,
                const SimulatedHostOptions& options)
      : network_(network), loop_(loop), ip_(std::move(ip)), options_(options) {}

  Result<std::unique_ptr<Acceptor>> listen(const Address& at, const ListenOptions& options,
                                           Task& owner) override;
  using Network::connect;
  std::unique_ptr<ByteStream> connect(const Address& to, const ConnectOptions& options) override;

 private:
  uint16_t free_port();

  SimulatedNetwork& network_;
  Loop& loop_;
  const std::string ip_;
  const SimulatedHostOptions options_;
};

uint16_t SimulatedHost::free_port() {
  for (;;) {
    uint16_t& port = network_.next_port_;
    if (++port < 32768)
      port = 32768;
    const bool taken = std::any_of(network_.listeners_.begin(), network_.listeners_.end(),
                                   [&](auto* one) { return one->listens_on(ip_, port); });
    if (!taken)
      return port;
  }
}

Result<std::unique_ptr<Acceptor>> SimulatedHost::listen(const Address& at,
                                                        const ListenOptions& options, Task& owner) {
  const Address where = at.port() == 0 ? at.with_port(free_port()) : at;
  for (const SimulatedAcceptor* other : network_.listeners_) {
    if (!other->clashes_with(ip_, where, options))
      continue;
    return Error{Code::address_in_use, Origin::local, where.to_string() + " is in use on " + ip_};
  }
  return std::unique_ptr<Acceptor>(
      std::make_unique<SimulatedAcceptor>(network_, ip_, where, options, owner));
}

std::unique_ptr<ByteStream> SimulatedHost::connect(const Address& to,
                                                   const ConnectOptions& options) {
  ++network_.counters_.connects;
  const uint64_t id = network_.next_id_++;
  auto& wire = network_.wires_[id] = std::make_unique<SimulatedWire>(network_, id);
  const bool redirected = options_.redirect_to.is_set();
  const Address target = redirected ? options_.redirect_to : to;
  SimulatedSocket& client = wire->socket(0);
  SimulatedSocket& server = wire->socket(1);
  client.peer = to;
  server.local = target;
  if (redirected)
    server.original_destination = to;
  const std::string from = to.is_loopback() ? to.ip() : ip_;
  const Address source = options.from.is_set() ? options.from : *Address::parse(from, 0);
  client.local = server.peer = source.with_port(free_port());
  wire->from_ip = ip_;
  client.start_connecting();
  auto stream = std::make_unique<SimulatedStream>(loop_, client);
  client.attach(stream.get());
  server.enqueue(SimulatedSocket::Kind::syn);
  return stream;
}

// ---- SimulatedNetwork -----------------------------------------------------------------------

SimulatedNetwork::SimulatedNetwork(SimulatedClock& clock)
    : Sleeper(clock), clock_(clock), reaper_(std::make_unique<Reaper>(clock, *this)) {}

SimulatedNetwork::~SimulatedNetwork() {
  ASSERT(listeners_.empty());
}

std::unique_ptr<Network> SimulatedNetwork::host(Loop& loop, std::string_view ip,
                                                const SimulatedHostOptions& options) {
  const auto address = Address::parse(ip, 0);
  ASSERT(address.has_value());
  return std::make_unique<SimulatedHost>(*this, loop, address->ip(), options);
}

SimulatedNetwork::Pair SimulatedNetwork::pair_of(const std::string& ip,
                                                 const std::string& other_ip) {
  return ip < other_ip ? Pair(ip, other_ip) : Pair(other_ip, ip);
}

void SimulatedNetwork::set_link(const std::string& ip, const std::string& other_ip,
                                const LinkOptions& options) {
  links_[pair_of(ip, other_ip)] = options;
}

const LinkOptions& SimulatedNetwork::link(const Address& a, const Address& b) const {
  if (a.is_loopback() || b.is_loopback())
    return loopback_;
  if (links_.empty())
    return default_link_;
  const auto found = links_.find(pair_of(a.ip(), b.ip()));
  return found != links_.end() ? found->second : default_link_;
}

bool SimulatedNetwork::is_partitioned(const Address& a, const Address& b) const {
  return !partitions_.empty() && partitions_.count(pair_of(a.ip(), b.ip())) > 0;
}

void SimulatedNetwork::refuse(const Address& at, bool refused) {
  if (refused) {
    refused_.insert(at.to_string());
  } else {
    refused_.erase(at.to_string());
  }
}

void SimulatedNetwork::partition(const std::string& ip, const std::string& other_ip) {
  partitions_.insert(pair_of(ip, other_ip));
  resume_all();
}

void SimulatedNetwork::heal(const std::string& ip, const std::string& other_ip) {
  partitions_.erase(pair_of(ip, other_ip));
  resume_all();
}

void SimulatedNetwork::heal_all() {
  partitions_.clear();
  resume_all();
}

void SimulatedNetwork::resume_all() {
  for (auto& [id, wire] : wires_) {
    wire->socket(0).resume();
    wire->socket(1).resume();
  }
}

std::vector<SimulatedNetwork::Connection> SimulatedNetwork::connections() const {
  std::vector<Connection> found;
  for (const auto& [id, wire] : wires_) {
    if (!wire->is_established())
      continue;
    found.push_back({id, wire->socket(0).local, wire->socket(0).peer});
  }
  return found;
}

void SimulatedNetwork::cut(uint64_t id, Cut how) {
  if (const auto found = wires_.find(id); found != wires_.end())
    found->second->cut(how);
}

void SimulatedNetwork::cut_all(Cut how) {
  for (const Connection& one : connections())
    cut(one.id, how);
}

bool SimulatedNetwork::cut_any(Cut how) {
  const std::vector<Connection> all = connections();
  if (all.empty())
    return false;
  cut(all[clock_.rng().below(all.size())].id, how);
  return true;
}

// Workers that share a port get their share by chance.
SimulatedAcceptor* SimulatedNetwork::find_listener(const std::string& from_ip, const Address& to) {
  std::vector<SimulatedAcceptor*> found;
  for (SimulatedAcceptor* one : listeners_) {
    if (one->is_at(from_ip, to))
      found.push_back(one);
  }
  if (found.size() < 2)
    return found.empty() ? nullptr : found.front();
  return found[clock_.rng().below(found.size())];
}

// A connection request has arrived at its server.
void SimulatedNetwork::arrive(SimulatedWire& wire, const std::string& from_ip) {
  SimulatedSocket& client = wire.socket(0);
  SimulatedSocket& server = wire.socket(1);
  SimulatedAcceptor* listener = find_listener(from_ip, server.local);
  const bool refused = listener == nullptr || refused_.count(server.local.to_string()) > 0 ||
                       clock_.rng().chance(chaos_.refuse);
  if (refused) {
    ++counters_.refused;
    return client.enqueue(SimulatedSocket::Kind::refused);
  }
  if (listener->is_full())
    return;  // a kernel drops the request, and the client waits
  server.open(nullptr);
  client.enqueue(SimulatedSocket::Kind::opened);
  listener->arrive(server);
}

void SimulatedNetwork::reap_later() {
  reaper_->soon();
}

void SimulatedNetwork::reap() {
  std::erase_if(wires_, [](const auto& entry) { return entry.second->is_gone(); });
}

std::string SimulatedNetwork::could_progress() const {
  for (const auto& [id, wire] : wires_) {
    if (wire->stalls())
      continue;
    for (const int side : {0, 1}) {
      std::string missed = wire->socket(side).missed_progress();
      if (!missed.empty())
        return missed;
    }
  }
  return {};
}

}  // namespace tulle
