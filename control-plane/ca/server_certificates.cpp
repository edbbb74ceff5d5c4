#include "control-plane/ca/server_certificates.hpp"

#include <algorithm>
#include <utility>

#include "core/base/clock.hpp"
#include "core/base/log.hpp"
#include "core/net/loop.hpp"
#include "core/net/x509_issue.hpp"
#include "core/net/x509_key.hpp"

namespace tulle::ca {

namespace {

constexpr int64_t kLookEvery = 60;  // the wall clock may have been set

int64_t now_seconds() { return wall_now().us / 1'000'000; }

std::vector<std::string> joined(std::vector<std::string> first, std::vector<std::string> more) {
  for (std::string& each : more) first.push_back(std::move(each));
  return first;
}

}  // namespace

Result<std::unique_ptr<ServerCertificates>> ServerCertificates::make(
    Loop& loop, Authority& authority, std::vector<std::string> more_dns,
    std::vector<std::string> more_ips, Task& owner) {
  std::unique_ptr<ServerCertificates> made(new ServerCertificates(
      loop, authority, std::move(more_dns), std::move(more_ips), owner));
  if (auto done = made->update(); !done) return done.error();
  made->wake();
  return made;
}

ServerCertificates::ServerCertificates(Loop& loop, Authority& authority,
                                       std::vector<std::string> more_dns,
                                       std::vector<std::string> more_ips, Task& owner)
    : Task(loop),
      authority_(authority),
      owner_(owner),
      dns_(joined({"localhost"}, std::move(more_dns))),
      ips_(joined({"127.0.0.1", "::1"}, std::move(more_ips))) {
  authority_.watch(*this);
}

ServerCertificates::~ServerCertificates() { authority_.unwatch(*this); }

void ServerCertificates::run() {
  if (auto done = update(); !done) {
    log::error("the control plane's own certificate: " + done.error().detail);
  }
  timer_.arm(std::chrono::seconds(std::clamp<int64_t>(renew_at_ - now_seconds(), 1, kLookEvery)));
}

Result<void> ServerCertificates::update() {
  const int64_t now = now_seconds();
  const auto& next = authority_.slots().next();
  const std::string prepared = next ? next->slot.id : "";
  const bool successor = !prepared.empty() && prepared != prepared_;
  const bool cut_off = revision_ > 0 && bundle_revision_ != authority_.bundle_revision() &&
                       !verify_chain(own_.chain_pem, authority_.bundle_pem(), now);
  if (revision_ == 0 || now >= renew_at_ || successor || cut_off) {
    if (auto done = issue(); !done) return done;
    prepared_ = prepared;
  } else if (bundle_revision_ == authority_.bundle_revision()) {
    return {};
  }
  return build();
}

Result<void> ServerCertificates::issue() {
  std::string key = generate_key();
  auto der = public_key_of(key, "");
  if (!der) return der.error();
  auto made = authority_.certify(*der, authority_.identity_of("tulle-system", "control-plane"),
                                 dns_, ips_);
  if (!made) return made.error();
  key_pem_ = std::move(key);
  own_ = std::move(*made);
  const int64_t now = now_seconds();
  renew_at_ = now + std::max<int64_t>(1, (own_.not_after - now) / 3 * 2);
  return {};
}

Result<void> ServerCertificates::build() {
  TlsOptions tls;
  tls.certificate_pem = own_.chain_pem;
  tls.key_pem = key_pem_;
  tls.origin = "the control plane's own certificate";
  tls.alpn = {"h2", "http/1.1"};
  auto api = TlsContext::server(tls, false);
  if (!api) return api.error();
  tls.alpn = {"h2"};
  tls.trust_pem = authority_.bundle_pem();
  tls.peer_sans = {{SanMatcher::Type::uri, SanMatcher::Kind::prefix,
                    "spiffe://" + authority_.trust_domain() + "/"}};
  auto xds = TlsContext::server(tls, false);
  if (!xds) return xds.error();
  xds_ = std::move(*xds);
  api_ = std::move(*api);
  bundle_revision_ = authority_.bundle_revision();
  ++revision_;
  owner_.wake();
  return {};
}

}  // namespace tulle::ca
