#include "sidecar/discovery/subscriber.hpp"

#include <algorithm>
#include <utility>

#include "core/base/log.hpp"
#include "core/net/loop.hpp"
#include "xds/references.hpp"

namespace tulle::discovery {

using xds::ResourceType;

namespace {

// Several messages may have come at once; the rest is read in the next turn.
constexpr int kMessagesPerRun = 8;

// The first answer tells the control plane lives. Silence this long after a stream was opened is an
// attempt that failed.
constexpr Duration kFirstAnswerTimeout = 15s;

Pool::Options pool_options(const Address& address) {
  Pool::Options options;
  options.address = address;
  options.protocol = Protocol::http2;
  // Large sets come in one message: the windows must not make it many round trips.
  options.limits.stream_window = 1024 * 1024;
  options.limits.connection_window = 4 * 1024 * 1024;
  return options;
}

}  // namespace

Subscriber::Subscriber(Loop& loop, Network& network, Options options, StatRegistry& stats,
                       StatShard& shard, uint64_t seed, Task& owner)
    : Task(loop),
      options_(std::move(options)),
      shard_(shard),
      counters_{
          stats.gauge("tulle_xds_connected", "1 while the control plane answers", {}),
          stats.counter("tulle_xds_responses_total", "Discovery responses by verdict",
                        {{"outcome", "accepted"}}),
          stats.counter("tulle_xds_responses_total", "", {{"outcome", "rejected"}}),
          stats.counter("tulle_xds_streams_total", "Discovery streams that were opened", {}),
          stats.counter("tulle_xds_disconnects_total",
                        "Discovery streams that ended, and attempts that failed", {})},
      owner_(owner),
      rng_(seed),
      retry_(*this),
      delayed_(*this),
      answer_(*this),
      pool_(std::make_unique<Pool>(loop, network, pool_options(options_.control_plane), nullptr)),
      session_(options_.node),
      bound_(options_.first_delay) {
  subscribe();
  wake();
}

Subscriber::~Subscriber() {
  if (was_connected_) shard_.add(counters_.connected, -1);
}

void Subscriber::set_tls(std::shared_ptr<const TlsContext> tls) {
  has_tls_ = tls != nullptr;
  pool_->set_tls(std::move(tls));
  move();
}

void Subscriber::set_node(xds::Node node) {
  session_.set_node(std::move(node));
  move();
}

void Subscriber::want_listeners(std::set<std::string> names) {
  if (listeners_ == names) return;
  listeners_ = std::move(names);
  subscribe();
  wake();
}

void Subscriber::restore(xds::ResourceSet resources) {
  session_.restore(std::move(resources));
  subscribe();
  wake();
}

void Subscriber::decide(const Verdict& verdict) {
  const uint64_t accepted = session_.accepted();
  const uint64_t rejected = session_.rejected();
  session_.decide(verdict.refusals, loop_.now());
  shard_.add(counters_.accepted, static_cast<int64_t>(session_.accepted() - accepted));
  shard_.add(counters_.rejected, static_cast<int64_t>(session_.rejected() - rejected));
  in_use_ = verdict.in_use;
  subscribe();
  wake();
}

// The listeners that are wanted, and what they lead to.
void Subscriber::subscribe() {
  std::map<ResourceType, xds::ClientSession::Names> wanted;
  wanted[ResourceType::listener].insert(std::string(xds::kWildcard));
  wanted[ResourceType::listener].insert(listeners_.begin(), listeners_.end());
  wanted[ResourceType::secret].insert(options_.wanted_secrets.begin(),
                                      options_.wanted_secrets.end());
  session_.want(ResourceType::listener, std::move(wanted[ResourceType::listener]));
  // What the owner has not looked at may refer to less than what is in force does: decide() is next.
  if (session_.undecided()) return;
  const auto add = [&](const xds::ResourceKey& key) {
    const auto& [type, name] = key;
    if (type == ResourceType::listener) return;
    if (type == ResourceType::secret && options_.local_secrets.contains(name)) return;
    wanted[type].insert(name);
  };
  for (const xds::ResourceKey& key : in_use_) add(key);
  // Each type refers to later ones only. Inline routes make listeners refer to clusters.
  for (const ResourceType type :
       {ResourceType::listener, ResourceType::route, ResourceType::cluster}) {
    for (const auto& [name, resource] : session_.resources().all(type)) {
      const bool leads = type == ResourceType::listener || wanted[type].contains(name);
      if (!leads) continue;
      for (const xds::ResourceKey& key : references(resource)) add(key);
    }
  }
  for (const ResourceType type : {ResourceType::route, ResourceType::cluster,
                                  ResourceType::endpoints, ResourceType::secret}) {
    session_.want(type, std::move(wanted[type]));
  }
  std::erase_if(references_, [&](const auto& entry) {
    return session_.resources().find(entry.second.resource->type, entry.second.resource->name) !=
           entry.first;
  });
}

const std::set<xds::ResourceKey>& Subscriber::references(
    const std::shared_ptr<const xds::Resource>& resource) {
  const auto [found, fresh] = references_.try_emplace(resource.get());
  if (fresh) found->second = {resource, xds::references_of(*resource)};
  return found->second.to;
}

// A stream with the new identity or node takes over when it is open.
void Subscriber::move() {
  move_due_ = stream_ != nullptr;
  if (!stream_) retry_.disarm();
  wake();
}

void Subscriber::leave() {
  leaving_ = true;
  ticket_.reset();
  retry_.disarm();
  delayed_.disarm();
  if (stream_ != nullptr) stream_->finish();
  wake();
}

// Until the control plane has said that it has understood.
void Subscriber::run_leaving() {
  if (stream_ == nullptr) return;
  stream_->advance();
  while (stream_->receive()) {
  }
  if (stream_->ended()) stream_.reset();
}

void Subscriber::run() {
  if (leaving_) return run_leaving();
  if (stream_ != nullptr) {
    stream_->advance();
    receive();
  }
  if (stream_ != nullptr && answer_.fired()) lose("no answer in time");
  if (ticket_) take_ticket();
  if ((stream_ == nullptr || move_due_) && !ticket_) open();
  send();
  note_state();
}

void Subscriber::open() {
  if (!options_.plaintext && !has_tls_) return;
  if (retry_.armed() && !retry_.fired()) return;
  retry_.disarm();
  Task& waiter = *this;
  ticket_.emplace(waiter);
  pool_->request(*ticket_);
  take_ticket();
}

void Subscriber::take_ticket() {
  if (auto* error = std::get_if<Error>(&ticket_->outcome)) {
    const std::string why =
        std::string(to_string(error->code)) + ": " + error->detail;
    ticket_.reset();
    // The stream of before stays, if there is one.
    note_failure(why);
    shard_.add(counters_.disconnects);
    back_off();
    return;
  }
  auto* stream = std::get_if<StreamRef>(&ticket_->outcome);
  if (stream == nullptr) return;
  StreamRef opened = std::move(*stream);
  ticket_.reset();
  adopt(std::move(opened));
}

void Subscriber::adopt(StreamRef stream) {
  move_due_ = false;
  shard_.add(counters_.streams);
  const std::string authority =
      options_.authority.empty() ? options_.control_plane.to_string() : options_.authority;
  Task& self = *this;
  stream_ = std::make_unique<GrpcStream>(
      std::move(stream), self, options_.max_message,
      grpc_request_head(options_.plaintext ? "http" : "https", authority, xds::kAdsPath));
  session_.begin_stream();
  answer_.arm(kFirstAnswerTimeout);
}

void Subscriber::receive() {
  for (int i = 0; i < kMessagesPerRun; ++i) {
    std::optional<std::string> message = stream_->receive();
    if (!message) break;
    Result<void> taken = session_.receive(*message, loop_.now());
    if (!taken) return lose(taken.error().detail);
    heard();
    if (i + 1 == kMessagesPerRun) defer();
  }
  if (stream_->ended()) lose(stream_->status().to_string());
}

// Something was said: the control plane is there, and the next loss is a new story.
void Subscriber::heard() {
  answer_.disarm();
  bound_ = options_.first_delay;
  last_failure_.clear();
}

void Subscriber::send() {
  while (stream_ != nullptr && stream_->can_send()) {
    std::optional<std::string> request = session_.next_request(loop_.now());
    if (!request) break;
    stream_->send(std::move(*request));
  }
  const Instant deadline = stream_ == nullptr ? kNever : session_.next_deadline();
  if (deadline == kNever || deadline <= loop_.now()) {
    delayed_.disarm();
  } else {
    delayed_.arm_at(deadline);
  }
}

void Subscriber::lose(std::string why) {
  // A stream that has served is reopened soon; after the first failure it takes longer each time.
  const bool served = session_.heard();
  stream_.reset();
  session_.end_stream();
  answer_.disarm();
  note_failure(std::move(why));
  shard_.add(counters_.disconnects);
  if (served) {
    log::warn("control plane lost, the configuration stays in force reason=\"" + last_failure_ +
              "\"");
  }
  back_off();
}

// Another reason than before is news for the owner, which tells it to people.
void Subscriber::note_failure(std::string why) {
  if (last_failure_ == why) return;
  last_failure_ = std::move(why);
  ++connection_changes_;
}

void Subscriber::back_off() {
  // At least a little: an attempt that fails at once must not make a loop.
  constexpr Duration kLeast = 10ms;
  const Duration delay(
      static_cast<int64_t>(rng_.unit() * static_cast<double>(bound_.count())));
  retry_.arm(std::max(delay, kLeast));
  bound_ = std::min(2 * bound_, options_.max_delay);
}

void Subscriber::note_state() {
  const bool now_connected = connected();
  if (now_connected != was_connected_) {
    was_connected_ = now_connected;
    ++connection_changes_;
    shard_.add(counters_.connected, now_connected ? 1 : -1);
    if (now_connected) {
      log::info("control plane connected address=" + options_.control_plane.to_string() +
                " identifier=" + session_.control_plane());
    }
  }
  initialized_ = initialized_ || !session_.accepted_version(ResourceType::listener).empty();
  if (undecided() || changes() != told_) {
    told_ = changes();
    owner_.wake();
  }
}

}  // namespace tulle::discovery
