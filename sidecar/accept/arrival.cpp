#include "sidecar/accept/arrival.hpp"

#include <algorithm>
#include <utility>

#include "core/net/loop.hpp"
#include "core/net/prefixed_stream.hpp"
#include "sidecar/accept/chain_gateway.hpp"

namespace tulle::accept {
namespace {

using Kind = Sniffed::Kind;

// A client that has begun to speak and stops before it is clear what: more than any network's
// hiccup, less than what people would wait for.
constexpr Duration kUnfinished = 1s;

Sniffed of_kind(Kind kind) {
  Sniffed sniffed;
  sniffed.kind = kind;
  return sniffed;
}

// Where the client wanted to go before the packet filter sent it here; unset: here. TPROXY leaves
// that in the local address; what the instance sends to itself is redirected there, too.
Address captured_destination(const ByteStream& bytes, const config::ListenerConfig& listener,
                             const Address& listens_at) {
  const Address& local = bytes.local_address();
  if (listener.transparent && local.port() != listens_at.port()) return local;
  const Address original = bytes.original_destination();
  return original != local ? original : Address();
}

// As the inspectors call it in a filter chain's match.
std::vector<std::string> protocols_of(const Sniffed& sniffed) {
  switch (sniffed.kind) {
    case Kind::http1: return {sniffed.http10 ? "http/1.0" : "http/1.1"};
    case Kind::http2: return {"h2c"};
    case Kind::tls: return sniffed.alpn;
    case Kind::opaque:
    case Kind::undecided: break;
  }
  return {};
}

}  // namespace

Arrival::Arrival(ChainGateway& gateway, std::unique_ptr<ByteStream> bytes)
    : Task(gateway.host().loop()),
      gateway_(gateway),
      bytes_(std::move(bytes)),
      config_(gateway.config_node()),
      original_(captured_destination(*bytes_, *config_, gateway.local_address())),
      search_(gateway.host(), *this),
      timer_(*this),
      accepted_(loop_.now()) {
  bytes_->start(*this);
  wake();
}

Arrival::~Arrival() = default;

// ---- what the byte stream says ---------------------------------------------------------------

void Arrival::on_bytes(ByteView bytes) {
  if (first_byte_ == kNever) first_byte_ = loop_.now();
  seen_.append(bytes);
  if (seen_.size() >= kMostSniffed) bytes_->want_read(false);
  wake();
}

void Arrival::on_end(std::optional<Error> why) {
  ended_ = true;
  failure_ = std::move(why);
  wake();
}

void Arrival::on_lost(Error why) {
  failure_ = std::move(why);
  wake();
}

// ---- the turn --------------------------------------------------------------------------------

void Arrival::run() {
  while (phase_ != Phase::over) {
    if (failure_) return close();  // nobody is there any more
    const bool moved = phase_ == Phase::locating ? locate() : look();
    if (!moved) return;
  }
}

// What the destination declares holds before anything is looked at: a server that speaks first must
// not wait, and a port declared HTTP never becomes anything else.
bool Arrival::locate() {
  if (!config_->chains->by_original_destination) {
    phase_ = Phase::looking;
    return true;
  }
  if (!original_.is_set() || gateway_.host().is_own(original_)) {
    refuse({Code::denied, Origin::local,
            "connected to the sidecar itself: there is no original destination"});
    return false;
  }
  switch (search_.look_for(original_.to_string())) {
    case tcp::DestinationSearch::State::waiting: return false;
    case tcp::DestinationSearch::State::failed: refuse(search_.error()); return false;
    case tcp::DestinationSearch::State::nobody_to_ask: phase_ = Phase::looking; return true;
    case tcp::DestinationSearch::State::found: break;
  }
  const config::Destination& found = search_.found();
  destination_tcp_ = found.tcp;
  destination_version_ = found.version;
  external_ = found.kind == config::Destination::Kind::external;
  declared_ = found.tcp == nullptr ? Declared::http : Declared::either;
  const bool opaque = found.routes == nullptr;
  search_.let_go();
  phase_ = Phase::looking;
  if (!opaque) return true;
  relay(destination_tcp_, nullptr);
  return false;
}

bool Arrival::look() {
  const config::FilterChains& chains = *config_->chains;
  if (early_ != nullptr && follow_early()) return false;
  if (declared_ == Declared::http) {
    sniffed_ = of_kind(Kind::http1);  // of whatever version: its server looks at that
  } else if (!chains.inspects()) {
    sniffed_ = of_kind(Kind::opaque);
  } else if (!seen_.empty()) {
    const std::string joined = seen_.slice_count() > 1 ? seen_.to_string() : std::string();
    const ByteView first = joined.empty() ? seen_.front() : ByteView(joined);
    const bool may_be_tls = first.front() == 0x16;
    sniffed_ = (may_be_tls ? chains.inspects_tls : chains.inspects_http) ? sniff(first)
                                                                         : of_kind(Kind::opaque);
  }
  if (sniffed_.kind == Kind::undecided && !decide()) return false;
  // To outside of the mesh we speak HTTP/1.1; what is meant for a server of HTTP/2 passes as it is.
  if (external_ && sniffed_.kind == Kind::http2) sniffed_ = of_kind(Kind::opaque);
  const config::FilterChain* chain = chain_for(sniffed_);
  if (chain == nullptr) {
    refuse({Code::no_route, Origin::downstream,
            "no filter chain of the listener is for this connection"});
    return false;
  }
  hand_over(*chain);
  return false;
}

// Not enough was said. True: it is decided all the same.
bool Arrival::decide() {
  const config::FilterChains& chains = *config_->chains;
  if (ended_) {  // no more will be said
    sniffed_ = of_kind(Kind::opaque);
    return true;
  }
  const Instant now = loop_.now();
  const Instant silent_at = accepted_ + chains.inspection_timeout;
  if (now < silent_at) {
    timer_.arm_at(silent_at);
    return false;
  }
  if (!chains.goes_on_when_silent) {
    refuse({Code::request_timeout, Origin::downstream,
            "the client has not said in time what it speaks"});
    return false;
  }
  if (!seen_.empty() && now >= first_byte_ + kUnfinished) {
    sniffed_ = of_kind(Kind::opaque);
    return true;
  }
  if (!std::exchange(tried_early_, true)) return silent();
  if (!seen_.empty()) timer_.arm_at(first_byte_ + kUnfinished);
  return false;
}

// True: nothing but HTTP can come, so its server may wait as well as we.
bool Arrival::silent() {
  const config::FilterChain* chain = chain_for(of_kind(Kind::opaque));
  if (chain == nullptr || chain->tcp == nullptr || chain->tls != nullptr) {
    sniffed_ = of_kind(Kind::http1);
    return true;
  }
  tcp::Assignment assignment = gateway_.assignment(*this);
  assignment.proxy = proxy_of(*chain);
  early_proxy_ = assignment.proxy;
  early_ = gateway_.make_relay(std::move(assignment), *this);
  if (!seen_.empty()) timer_.arm_at(first_byte_ + kUnfinished);
  return false;
}

// The upstream was dialled for a silent client. True: that has decided.
bool Arrival::follow_early() {
  if (!early_->upstream_spoke() && !early_->failed()) return false;
  early_->set_owner(gateway_.waiter());
  early_->attach(take_stream());
  gateway_.keep(std::move(early_));
  close();
  return true;
}

std::shared_ptr<const config::TcpProxy> Arrival::proxy_of(const config::FilterChain& chain) const {
  const bool by_destination = chain.tcp->on_demand && chain.tcp->destination.empty();
  return by_destination && destination_tcp_ != nullptr ? destination_tcp_ : chain.tcp;
}

const config::FilterChain* Arrival::chain_for(const Sniffed& sniffed) const {
  const std::vector<std::string> protocols = protocols_of(sniffed);
  const Address& to = original_.is_set() ? original_ : bytes_->local_address();
  return config_->chains->choose({.destination_port = to.port(),
                                  .tls = sniffed.kind == Kind::tls,
                                  .server_name = sniffed.server_name,
                                  .protocols = protocols});
}

// ---- the end ---------------------------------------------------------------------------------

void Arrival::hand_over(const config::FilterChain& chain) {
  if (chain.tcp != nullptr) return relay(proxy_of(chain), &chain);
  early_.reset();
  gateway_.serve(chain, original_, take_stream());
  close();
}

void Arrival::relay(std::shared_ptr<const config::TcpProxy> proxy,
                    const config::FilterChain* chain) {
  const bool encrypted = chain != nullptr && chain->tls != nullptr;
  std::unique_ptr<tcp::Relay> relay;
  if (early_ != nullptr && early_proxy_ == proxy && !encrypted) {
    relay = std::move(early_);
    relay->set_owner(gateway_.waiter());
  } else {
    early_.reset();
    tcp::Assignment assignment = gateway_.assignment(*this);
    assignment.proxy = std::move(proxy);
    if (encrypted) {
      assignment.tls = chain->tls;
      assignment.tls_handshake_timeout = chain->tls_handshake_timeout;
    }
    relay = gateway_.make_relay(std::move(assignment), gateway_.waiter());
  }
  relay->attach(take_stream());
  gateway_.keep(std::move(relay));
  close();
}

std::unique_ptr<ByteStream> Arrival::take_stream() {
  if (!seen_.empty()) {
    return std::make_unique<PrefixedStream>(loop_, std::move(bytes_), std::move(seen_));
  }
  bytes_->want_read(true);
  return std::move(bytes_);
}

// Closed because of us: never looks like an orderly end.
void Arrival::refuse(Error error) {
  gateway_.refused(*this, std::move(error));
  ByteStream::abort(std::move(bytes_));
  close();
}

void Arrival::close() {
  phase_ = Phase::over;
  early_.reset();
  bytes_.reset();
  search_.let_go();
  timer_.disarm();
  gateway_.over(*this);
}

void Arrival::retire() {
  if (phase_ != Phase::over && seen_.empty() && early_ == nullptr) close();
}

}  // namespace tulle::accept
