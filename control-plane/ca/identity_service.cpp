#include "control-plane/ca/identity_service.hpp"

#include <optional>
#include <utility>

#include "core/base/clock.hpp"
#include "core/base/log.hpp"
#include "core/http/grpc_call.hpp"
#include "core/net/task.hpp"
#include "core/net/tls.hpp"
#include "core/net/x509_request.hpp"
#include "xds/messages.hpp"

namespace tulle::ca {

namespace {

constexpr size_t kLargestCall = 32 * 1024;  // a request of 16 KiB and a token of 2

int64_t now_seconds() { return wall_now().us / 1'000'000; }

GrpcStatus status_of(const Error& why) {
  switch (why.code) {
    case Code::bad_request:
      return {GrpcCode::invalid_argument, why.detail};
    case Code::unauthenticated:
      return {GrpcCode::unauthenticated, why.detail};
    case Code::denied:
      return {GrpcCode::permission_denied, why.detail};
    case Code::rate_limited:
      return {GrpcCode::resource_exhausted, why.detail};
    case Code::overloaded:
      return {GrpcCode::unavailable, why.detail};
    default:
      return {GrpcCode::internal, "the control plane cannot sign: " + why.detail};
  }
}

}  // namespace

class SignCall final : public Task {
 public:
  SignCall(IdentityService& service, StreamRef stream)
      : Task(service.loop_), service_(service) {
    Task& self = *this;
    call_.emplace(std::move(stream), self, kLargestCall);
  }

 private:
  void run() override {
    if (!call_) return;
    if (call_->advance()) begin();
    if (redemption_) {
      redemption_->advance();
      if (redemption_->outcome()) redeemed();
    }
    // Who has gone may come back with the token: its use is recorded first.
    if (!redemption_ && call_->over()) call_.reset();
  }

  void begin() {
    auto request = xds::decode_sign_request(call_->request());
    if (!request) {
      return refuse({Code::bad_request, Origin::downstream, request.error().detail});
    }
    if (request->join_token.empty()) return renew(request->csr_pem);
    join(*request);
  }

  // Cheapest first: whoever has no business here costs us a MAC.
  void join(const xds::SignRequest& request) {
    auto claims = service_.tokens_.read(request.join_token);
    if (!claims) return refuse(claims.error());
    identity_ = service_.authority_.identity_of(claims->namespace_name, claims->service);
    if (!admit(request.csr_pem)) return;
    Task& self = *this;
    redemption_.emplace(service_.tokens_, request.join_token, std::move(*claims),
                        csr_.key_fingerprint, self);
  }

  void renew(const std::string& csr_pem) {
    const PeerIdentity* peer = call_->peer();
    if (peer == nullptr || peer->spiffe_id.empty()) {
      return refuse({Code::unauthenticated, Origin::downstream,
                     "a join token or a certificate of this mesh is needed"});
    }
    // The connection may be older than the end of the certificate it began with.
    if (peer->not_after <= now_seconds()) {
      return refuse({Code::unauthenticated, Origin::downstream,
                     "the certificate has expired meanwhile: a new join token is needed"});
    }
    identity_ = peer->spiffe_id;
    const std::string mesh = "spiffe://" + service_.authority_.trust_domain() + "/ns/";
    const std::string ours = service_.authority_.identity_of("tulle-system", "control-plane");
    if (!identity_.starts_with(mesh) || identity_ == ours) {
      return refuse({Code::denied, Origin::downstream, identity_ + " gets no certificate here"});
    }
    if (admit(csr_pem)) sign();
  }

  bool admit(const std::string& csr_pem) {
    const Result<void> admitted = service_.policy_.admit(identity_, wall_now().us);
    if (!admitted) return refuse(admitted.error()), false;
    auto read = read_request(csr_pem);
    if (!read) return refuse(read.error()), false;
    csr_ = std::move(*read);
    for (const std::string& uri : csr_.uris) {
      if (uri == identity_) continue;
      refuse({Code::denied, Origin::downstream,
              "identity_mismatch: the caller is " + identity_ + ", the request asks for " +
                  (uri.size() > 300 ? "something longer" : uri)});
      return false;
    }
    return true;
  }

  void redeemed() {
    const Result<void> outcome = *redemption_->outcome();
    redemption_.reset();
    if (!outcome) return refuse(outcome.error());
    sign();
  }

  void sign() {
    auto made = service_.authority_.certify(csr_.public_key_der, identity_);
    if (!made) return refuse(made.error());
    const Result<void> bound = service_.policy_.bind_key(csr_.key_fingerprint, identity_,
                                                         made->not_after, now_seconds());
    if (!bound) return refuse(bound.error());
    call_->reply(xds::encode(xds::SignResponse{std::move(made->chain_pem),
                                               std::move(made->bundle_pem), made->not_after}));
  }

  void refuse(const Error& why) {
    log::warn("no certificate identity=" + (identity_.empty() ? "unknown" : identity_) +
              " why=" + why.detail);
    call_->reply(status_of(why));
  }

  IdentityService& service_;
  std::optional<GrpcServerCall> call_;
  std::optional<Redemption> redemption_;
  std::string identity_;
  CertificateRequest csr_;
};

std::unique_ptr<Task> IdentityService::serve(StreamRef stream) {
  return std::make_unique<SignCall>(*this, std::move(stream));
}

}  // namespace tulle::ca
