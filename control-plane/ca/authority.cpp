#include "control-plane/ca/authority.hpp"

#include <algorithm>

#include "control-plane/ca/slot_files.hpp"
#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/log.hpp"
#include "core/net/loop.hpp"
#include "core/net/x509_issue.hpp"
#include "core/net/x509_key.hpp"

namespace tulle::ca {

namespace {

constexpr int64_t kDay = 86400;
constexpr int64_t kRootLifetime = 3650 * kDay;
// Certificates begin a little in the past, for clocks that are behind; a tenth of their life at
// most, because renewal at half of it must not be due at once.
constexpr int64_t kMostBackdated = 300;
constexpr int64_t kLookEvery = 3600;

int64_t now_seconds() { return wall_now().us / 1'000'000; }

Issuer issuer_of(const Slot& slot) { return {slot.certificate_pem, slot.key_pem, slot.id}; }

std::string probe_identity(const AuthorityOptions& options) {
  return "spiffe://" + options.trust_domain + "/ns/tulle-system/sa/control-plane";
}

Result<Slot> make_root(const AuthorityOptions& options) {
  std::string key = generate_key();
  const int64_t now = now_seconds();
  auto root = issue_root(key, options.trust_domain + " root", "spiffe://" + options.trust_domain,
                         {now - kMostBackdated, now + kRootLifetime});
  if (!root) return root.error();
  return make_slot(std::move(*root), std::move(key), "root");
}

Result<Slot> read_given(const AuthorityOptions& options) {
  auto certificate = read_small_file(options.certificate_file);
  if (!certificate) return Error{Code::invalid_config, Origin::local, certificate.error().detail};
  auto key = read_small_file(options.key_file);
  if (!key) return Error{Code::invalid_config, Origin::local, key.error().detail};
  auto good = check_issuer({*certificate, *key, options.certificate_file}, probe_identity(options),
                           now_seconds());
  if (!good) return good.error();
  return make_slot(std::move(*certificate), std::move(*key), options.certificate_file);
}

Result<Slot> fresh_slot(const AuthorityOptions& options) {
  return options.certificate_file.empty() ? make_root(options) : read_given(options);
}

}  // namespace

Result<std::unique_ptr<Authority>> Authority::open(Loop& loop, AuthorityOptions options) {
  if (options.certificate_file.empty() != options.key_file.empty()) {
    return Error{Code::invalid_config, Origin::local,
                 "ca: certificate_file and key_file belong together"};
  }
  if (auto made = make_folder(options.directory, 0700); !made) return made.error();
  const SlotTimes times{options.certificate_lifetime_seconds, options.propagation_seconds};
  auto stored = load_slots(options.directory, times);
  if (!stored) return stored.error();
  if (!*stored) {
    auto first = fresh_slot(options);
    if (!first) return first.error();
    log::info("new certificate authority id=" + first->id + " trust_domain=" +
              options.trust_domain);
    stored->emplace(times, std::move(*first));
  } else {
    (*stored)->restarted(now_seconds());
  }
  const Slot& current = (*stored)->current();
  auto usable = check_issuer(issuer_of(current), probe_identity(options), now_seconds());
  if (!usable) return usable.error();
  if (auto saved = save_slots(options.directory, **stored); !saved) return saved.error();
  return std::unique_ptr<Authority>(
      new Authority(loop, std::move(options), std::move(**stored)));
}

Authority::Authority(Loop& loop, AuthorityOptions options, Slots slots)
    : Task(loop),
      options_(std::move(options)),
      slots_(std::move(slots)),
      bundle_pem_(slots_.bundle_pem()) {
  wake();
}

Authority::~Authority() = default;

std::string Authority::identity_of(std::string_view namespace_name,
                                   std::string_view account) const {
  return "spiffe://" + options_.trust_domain + "/ns/" + std::string(namespace_name) + "/sa/" +
         std::string(account);
}

void Authority::unwatch(Task& watcher) { std::erase(watchers_, &watcher); }

Result<Certified> Authority::certify(const std::string& public_key_der, const std::string& uri,
                                     const std::vector<std::string>& dns,
                                     const std::vector<std::string>& ips) const {
  const int64_t now = now_seconds();
  const int64_t lifetime = options_.certificate_lifetime_seconds;
  const int64_t not_before = now - std::min(kMostBackdated, lifetime / 10);
  auto chain = issue_leaf(issuer_of(slots_.current()),
                          {public_key_der, uri, dns, ips, {not_before, now + lifetime}});
  if (!chain) return chain.error();
  const int64_t not_after = std::min(now + lifetime, slots_.current().not_after);
  return Certified{std::move(*chain), bundle_pem_, not_after};
}

Result<void> Authority::prepare() {
  if (slots_.next()) return Slots(slots_).prepare(slots_.current(), now_seconds());
  auto fresh = fresh_slot(options_);
  if (!fresh) return fresh.error();
  if (fresh->id == slots_.current().id) {
    return Error{Code::bad_request, Origin::downstream,
                 "ca.certificate_file still holds the current authority: put the new one there "
                 "first"};
  }
  Slots changed = slots_;
  auto done = changed.prepare(std::move(*fresh), now_seconds());
  return done ? adopt(std::move(changed)) : done;
}

Result<void> Authority::activate() {
  Slots changed = slots_;
  auto done = changed.activate(now_seconds());
  return done ? adopt(std::move(changed)) : done;
}

Result<void> Authority::retire(bool force) {
  Slots changed = slots_;
  auto done = changed.retire(now_seconds(), force);
  return done ? adopt(std::move(changed)) : done;
}

// What is not on disk is not in force.
Result<void> Authority::adopt(Slots slots) {
  if (auto saved = save_slots(options_.directory, slots); !saved) return saved;
  slots_ = std::move(slots);
  log::info("certificate authorities current=" + slots_.current().id +
            " next=" + (slots_.next() ? slots_.next()->slot.id : "none") +
            " previous=" + std::to_string(slots_.previous().size()));
  std::string bundle = slots_.bundle_pem();
  if (bundle != bundle_pem_) {
    bundle_pem_ = std::move(bundle);
    ++bundle_revision_;
  }
  // Also when the bundle is the same: who presents certificates of ours may want new ones.
  for (Task* watcher : watchers_) watcher->wake();
  wake();
  return {};
}

void Authority::run() {
  const int64_t now = now_seconds();
  Result<void> done;
  if (slots_.retire_due(now)) {
    done = retire(false);
  } else if (slots_.activate_due(now)) {
    done = activate();
  } else if (slots_.prepare_due(now)) {
    done = prepare();
  }
  int64_t wait = kLookEvery;
  if (done) {
    wait = std::clamp<int64_t>(slots_.next_due(now) - now, 1, kLookEvery);
  } else {
    log::error("rotation of the certificate authority: " + done.error().detail);
  }
  timer_.arm(std::chrono::seconds(wait));
}

}  // namespace tulle::ca
