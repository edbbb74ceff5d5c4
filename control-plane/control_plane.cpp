#include "control-plane/control_plane.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "control-plane/api/token_file.hpp"
#include "core/base/log.hpp"

namespace tulle {

namespace {

// What runs may finish: an answer, a commit. Watches and sessions are ended at once.
constexpr Duration kGrace = 5s;

Error named(std::string_view what, Error error) {
  error.detail = std::string(what) + ": " + error.detail;
  return error;
}

// Replaces the file in one step.
Result<void> write_file(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  const auto failed = [&] {
    return Error{Code::io_error, Origin::local, path + ": " + std::strerror(errno)};
  };
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return failed();
  const bool written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(file);
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) return failed();
  return {};
}

}  // namespace

Result<std::unique_ptr<ControlPlane>> ControlPlane::start(Loop& loop, ControlPlaneConfig config) {
  std::unique_ptr<ControlPlane> control_plane(new ControlPlane(loop, std::move(config)));
  Result<void> opened = control_plane->open();
  if (!opened) return opened.error();
  return control_plane;
}

ControlPlane::ControlPlane(Loop& loop, ControlPlaneConfig config)
    : Task(loop),
      config_(std::move(config)),
      revision_gauge_(stats_.gauge("tulle_store_revision", "Revision of the newest durable write", {})),
      certificate_gauge_(stats_.gauge("tulle_certificate_not_after_seconds",
                                      "Unix time at which our own certificate expires", {})),
      network_(make_uv_network(loop)),
      methods_(loop),
      pages_(loop, stats_, *this) {
  stats_.attach(shard_);
}

ControlPlane::~ControlPlane() {
  // Handlers before what they work with.
  metrics_server_.reset();
  api_server_.reset();
  xds_server_.reset();
  if (authority_ != nullptr) authority_->unwatch(*this);
  stats_.detach(shard_);
}

Result<void> ControlPlane::open() {
  Result<std::unique_ptr<store::Store>> store =
      store::open_sqlite_store(loop_, config_.data_dir);
  if (!store) return named("data_dir", store.error());
  store_ = std::move(*store);
  ::unlink((config_.data_dir + "/endpoints.json").c_str());  // where a former run listened
  store_watch_ = store_->watch(*this);
  update_gauges();
  if (Result<void> opened = open_authority(); !opened) return opened;
  if (Result<void> opened = open_xds(); !opened) return opened;
  if (Result<void> opened = open_api(); !opened) return opened;
  if (Result<void> opened = open_metrics(); !opened) return opened;
  terminate_ = watch_signal(loop_, SIGTERM, *this);
  interrupt_ = watch_signal(loop_, SIGINT, *this);
  return announce();
}

Result<void> ControlPlane::open_authority() {
  ca::AuthorityOptions options;
  options.directory = config_.data_dir + "/ca";
  options.trust_domain = config_.trust_domain;
  options.certificate_lifetime_seconds = config_.certificate_lifetime_seconds;
  options.certificate_file = config_.ca_certificate_file;
  options.key_file = config_.ca_key_file;
  Result<std::unique_ptr<ca::Authority>> authority = ca::Authority::open(loop_, options);
  if (!authority) return named("ca", authority.error());
  authority_ = std::move(*authority);
  authority_->watch(*this);
  Result<std::unique_ptr<ca::JoinTokens>> tokens =
      ca::JoinTokens::open(options.directory, config_.trust_domain, *store_);
  if (!tokens) return named("ca", tokens.error());
  tokens_ = std::move(*tokens);
  // Whoever uses an address that is not loopback verifies that address.
  std::vector<std::string> ips;
  for (const Address& address : {config_.xds, config_.api}) {
    const std::string ip = address.ip();
    const bool any = ip == "0.0.0.0" || ip == "::";
    if (!address.is_loopback() && !any) ips.push_back(ip);
  }
  auto certificates = ca::ServerCertificates::make(loop_, *authority_, {}, std::move(ips), *this);
  if (!certificates) return named("ca", certificates.error());
  certificates_ = std::move(*certificates);
  return {};
}

Result<void> ControlPlane::open_xds() {
  const build::Mesh mesh{config_.trust_domain, config_.cluster_domain, authority_->bundle_pem(),
                         config_.tracing};
  hub_ = std::make_unique<push::Hub>(loop_, *store_, mesh, stats_, push::Hub::Options{});
  compile_check_ = std::make_unique<build::CompileCheck>(mesh);
  identity_ = std::make_unique<ca::IdentityService>(loop_, *authority_, *tokens_);
  sign_method_ = std::make_unique<SignMethod>(*identity_);
  methods_.add(xds::kAdsPath, *hub_);
  methods_.add(xds::kSignPath, *sign_method_);
  Server::Options options;
  options.protocol = Protocol::http2;
  options.tls = certificates_->xds();
  xds_server_ = std::make_unique<Server>(loop_, methods_, options);
  const Result<void> listening = xds_server_->listen(*network_, config_.xds, {});
  if (!listening) return named("xds.address", listening.error());
  return {};
}

Result<void> ControlPlane::open_api() {
  Result<std::string> token = api::read_or_make_token(config_.token_file);
  if (!token) return token.error();
  certificate_control_ = std::make_unique<api::CertificateControl>(*authority_, *tokens_);
  const api::Sources sources{.store = store_.get(),
                             .authority = certificate_control_.get(),
                             .acknowledgements = this,
                             .result_check = compile_check_.get()};
  api_ = std::make_unique<api::Api>(loop_, sources, *token, stats_);
  Server::Options options;
  if (!config_.api_plaintext) options.tls = certificates_->api();
  api_server_ = std::make_unique<Server>(loop_, *api_, options);
  const Result<void> listening = api_server_->listen(*network_, config_.api, {});
  if (!listening) return named("api.address", listening.error());
  certificates_revision_ = certificates_->revision();
  return {};
}

Result<void> ControlPlane::open_metrics() {
  metrics_server_ = std::make_unique<Server>(loop_, pages_, Server::Options{});
  const Result<void> listening = metrics_server_->listen(*network_, config_.metrics, {});
  if (!listening) return named("metrics.address", listening.error());
  return {};
}

Result<void> ControlPlane::announce() {
  const std::string api = (config_.api_plaintext ? "http://" : "https://") +
                          api_server_->local_address().to_string();
  const std::string metrics = metrics_server_->local_address().to_string();
  const std::string xds = xds_server_->local_address().to_string();
  const nlohmann::ordered_json endpoints = {{"xds", xds}, {"api", api}, {"metrics", metrics}};
  const std::string path = config_.data_dir + "/endpoints.json";
  if (Result<void> written = write_file(path, endpoints.dump(2) + "\n"); !written) return written;
  log::info("listening name=xds address=" + xds);
  log::info("listening name=api address=" + api);
  log::info("listening name=metrics address=" + metrics);
  log::info("ready revision=" + std::to_string(store_->view().revision()) +
            " trust_domain=" + config_.trust_domain);
  ready_ = true;
  return {};
}

void ControlPlane::run() {
  update_gauges();
  take_over_certificates();
  if (terminate_ != nullptr && (terminate_->take() | interrupt_->take())) {
    if (draining_) {
      log::warn("second signal: stopping at once");
      return loop_.stop();
    }
    begin_drain();
  }
  if (!draining_) return;
  if (grace_timer_.fired()) {
    log::warn("grace period over: stopping with requests still running");
    return loop_.stop();
  }
  if (drained()) {
    log::info("drained, stopping");
    loop_.stop();
  }
}

void ControlPlane::update_gauges() {
  const auto revision = static_cast<int64_t>(store_->view().revision());
  shard_.add(revision_gauge_, revision - std::exchange(revision_shown_, revision));
  const int64_t expiry = certificates_ == nullptr ? 0 : certificates_->not_after();
  shard_.add(certificate_gauge_, expiry - std::exchange(certificate_shown_, expiry));
}

// A rotation reaches everybody by the hub, and handshakes from now on by the servers.
void ControlPlane::take_over_certificates() {
  if (hub_ != nullptr) hub_->set_trust_bundle(authority_->bundle_pem());
  if (certificates_ == nullptr || certificates_revision_ == certificates_->revision()) return;
  if (xds_server_ == nullptr || api_server_ == nullptr) return;
  certificates_revision_ = certificates_->revision();
  xds_server_->set_tls(certificates_->xds());
  if (!config_.api_plaintext) api_server_->set_tls(certificates_->api());
}

void ControlPlane::begin_drain() {
  draining_ = true;
  log::info("stopping");
  api_->end_watches();
  hub_->shut_down();
  for (Server* server : {xds_server_.get(), api_server_.get(), metrics_server_.get()}) {
    server->set_owner(this);
    server->drain();
  }
  grace_timer_.arm(kGrace);
  wake();
}

bool ControlPlane::drained() const {
  return xds_server_->drained() && api_server_->drained() && metrics_server_->drained();
}

std::string_view ControlPlane::state() const {
  if (draining_) return "draining";
  if (!store_->healthy()) return "the store cannot write";
  return ready_ ? "ready" : "starting";
}

}  // namespace tulle
