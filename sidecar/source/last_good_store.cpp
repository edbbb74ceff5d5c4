#include "sidecar/source/last_good_store.hpp"

#include <utility>

#include "core/base/log.hpp"

namespace tulle::source {

namespace {

// Many changes come together; a restart misses at most so much of them.
constexpr Duration kSaveDelay = 1s;

std::string whose_state(const config::Bootstrap& bootstrap) {
  const config::Membership& membership = bootstrap.membership;
  return membership.issued_identity ? membership.spiffe_id() : bootstrap.node.id;
}

}  // namespace

LastGoodStore::LastGoodStore(const config::Bootstrap& bootstrap, Task& owner)
    : directory_(bootstrap.membership.state_dir), whose_(whose_state(bootstrap)), timer_(owner) {}

config::LastGood LastGoodStore::load() {
  if (directory_.empty()) return {};
  auto state = config::load_last_good(directory_, whose_);
  if (!state) {
    log::error("stored configuration ignored: " + state.error().detail);
    return {};
  }
  if (!*state) return {};
  log::info("stored configuration found destinations=" +
            std::to_string((*state)->destinations.size()));
  return std::move(**state);
}

void LastGoodStore::save_later() {
  if (!directory_.empty() && !timer_.armed()) timer_.arm(kSaveDelay);
}

bool LastGoodStore::due() {
  if (!timer_.fired()) return false;
  timer_.disarm();
  return true;
}

void LastGoodStore::save(const config::LastGood& state) {
  timer_.disarm();
  if (directory_.empty()) return;
  const xds::ContentHash hash = xds::hash_of(config::encode(state, whose_));
  if (hash == saved_) return;
  Result<void> saved = config::save_last_good(directory_, state, whose_);
  if (saved) {
    saved_ = hash;
  } else if (!failed_) {
    log::error("configuration not stored: " + saved.error().detail);
  }
  failed_ = !saved;
}

}  // namespace tulle::source
