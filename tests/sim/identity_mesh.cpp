#include "tests/sim/identity_mesh.hpp"

#include <gtest/gtest.h>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/net/x509_issue.hpp"

namespace tulle::sim {

namespace {

const Address& control_plane_address() {
  static const Address at = *Address::parse("10.0.0.1", 15012);
  return at;
}

class Sleeper final : public Task {
 public:
  Sleeper(Loop& loop, uint64_t& wakes) : Task(loop), wakes_(wakes) {}

 private:
  void run() override { ++wakes_; }
  uint64_t& wakes_;
};

}  // namespace

class IdentityMesh::ControlPlane final : public Task, private Service {
 public:
  explicit ControlPlane(IdentityMesh& mesh) : Task(mesh.loop), mesh_(mesh) {
    ca::AuthorityOptions options;
    options.directory = mesh.folder_ / "ca";
    options.trust_domain = "mesh.test";
    options.certificate_lifetime_seconds = mesh.lifetime_;
    auto opened = ca::Authority::open(mesh.loop, options);
    EXPECT_TRUE(opened) << opened.error().detail;
    authority = std::move(*opened);
    auto made = ca::JoinTokens::open(options.directory, "mesh.test", *mesh.store_);
    EXPECT_TRUE(made);
    tokens = std::move(*made);
    Task& self = *this;
    certificates = std::move(*ca::ServerCertificates::make(mesh.loop, *authority, {}, {}, self));
    identity.emplace(mesh.loop, *authority, *tokens);
    Server::Options server_options;
    server_options.protocol = Protocol::http2;
    server_options.tls = certificates->xds();
    server.emplace(mesh.loop, static_cast<Service&>(*this), server_options);
    const auto listening = server->listen(*mesh.control_plane_network_, control_plane_address(), {});
    EXPECT_TRUE(listening) << listening.error().detail;
    authority->watch(self);
    wake();
  }
  ~ControlPlane() override { authority->unwatch(*this); }

  std::unique_ptr<Task> serve(StreamRef stream) override {
    if (mesh_.substitute_ != nullptr) return mesh_.substitute_->serve(std::move(stream));
    return identity->serve(std::move(stream));
  }
  void run() override {
    if (!presents_another) server->set_tls(certificates->xds());
    mesh_.push_bundle();
  }

  IdentityMesh& mesh_;
  std::unique_ptr<ca::Authority> authority;
  std::unique_ptr<ca::JoinTokens> tokens;
  std::unique_ptr<ca::ServerCertificates> certificates;
  std::optional<ca::IdentityService> identity;
  std::optional<Server> server;
  bool presents_another = false;
};

IdentityMesh::IdentityMesh(int64_t certificate_lifetime, uint64_t seed)
    : clock(seed),
      lifetime_(certificate_lifetime),
      control_plane_network_(network.host(loop, "10.0.0.1")),
      store_(store::make_memory_store(loop)) {
  stats_.attach(shard_);
}

IdentityMesh::~IdentityMesh() {
  workloads_.clear();
  control_plane_.reset();
  clock.run_for(60s);  // connections end
  store_.reset();
  stats_.detach(shard_);
}

void IdentityMesh::start_control_plane() { control_plane_ = std::make_unique<ControlPlane>(*this); }
void IdentityMesh::stop_control_plane() { control_plane_.reset(); }
ca::Authority& IdentityMesh::authority() { return *control_plane_->authority; }
ca::JoinTokens& IdentityMesh::tokens() { return *control_plane_->tokens; }

void IdentityMesh::present(std::shared_ptr<const TlsContext> tls) {
  control_plane_->presents_another = true;
  control_plane_->server->set_tls(std::move(tls));
}

std::string IdentityMesh::token(const std::string& service, int64_t lifetime) {
  auto created = tokens().create("default", service, lifetime, "test", nullptr);
  EXPECT_TRUE(created) << created.error().detail;
  EXPECT_TRUE(clock.run_while_not([&] { return created->write->done(); }, 10s));
  return created->token;
}

std::string IdentityMesh::id_of(const std::string& service) {
  return "spiffe://mesh.test/ns/default/sa/" + service;
}

IdentityMesh::Workload& IdentityMesh::start(const std::string& name, const std::string& service) {
  auto& slot = workloads_[name];
  if (slot == nullptr) {
    slot = std::make_unique<Workload>();
    slot->name = name;
    slot->network = network.host(loop, "10.0.1." + std::to_string(next_ip_++));
    slot->owner = std::make_unique<Sleeper>(loop, slot->wakes);
    EXPECT_TRUE(make_folder(folder_of(name), 0700));
  }
  identity::CredentialsOptions options;
  options.spiffe_id = id_of(service.empty() ? name : service);
  options.trust_domain = "mesh.test";
  options.directory = folder_of(name) + "/identity";
  options.join_token_file = folder_of(name) + "/token";
  options.control_plane = control_plane_address();
  options.trust_file = folder_ / "ca/root.pem";
  slot->credentials.reset();
  slot->credentials = std::make_unique<identity::Credentials>(
      loop, *slot->network, options, stats_, shard_, clock.rng().next(), *slot->owner);
  return *slot;
}

void IdentityMesh::give_token(const std::string& name, const std::string& token) {
  EXPECT_TRUE(make_folder(folder_of(name), 0700));
  EXPECT_TRUE(replace_file(folder_of(name) + "/token", token + "\n", 0600));
}

void IdentityMesh::push_bundle() {
  for (auto& [name, each] : workloads_) {
    if (each->credentials == nullptr || each->credentials->identity() == nullptr) continue;
    const auto adopted = each->credentials->adopt_bundle(authority().bundle_pem());
    EXPECT_TRUE(adopted) << name << ": " << adopted.error().detail;
  }
}

bool IdentityMesh::run_until_valid(const std::string& name, Duration limit) {
  return clock.run_while_not([&] { return fault(name, name).empty(); }, limit);
}

std::string IdentityMesh::fault(const std::string& name, const std::string& by) {
  const config::Identity* own = workload(name).credentials->identity();
  const config::Identity* judge = workload(by).credentials->identity();
  if (own == nullptr || judge == nullptr) return "no certificate";
  const auto held = verify_chain(own->certificate_pem, judge->trust_pem, now());
  return held ? "" : held.error().detail;
}

int64_t IdentityMesh::now() { return wall_now().us / 1'000'000; }

}  // namespace tulle::sim
