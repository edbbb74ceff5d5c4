#include "cli/isolate/isolated_mesh.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/intercept/backend.hpp"
#include "cli/isolate/isolate_plan.hpp"

namespace tulle::cli {
namespace {

// The text of a file of the kernel's, which has no size.
std::string text_of(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Who called sudo: their files, their rights.
std::string usual_user() {
  const char* caller = std::getenv("SUDO_UID");
  return caller == nullptr || std::string_view(caller) == "0" ? "" : caller;
}

Result<void> write_names(const RunDirectory& run, const Isolation& isolation) {
  Result<void> written =
      make_directories(std::filesystem::path(run.hosts()).parent_path().string());
  if (written) written = write_file(run.hosts(), hosts_file(isolation));
  if (written) written = write_file(run.resolver(), kResolverFile);
  return written;
}

}  // namespace

std::vector<Network*> Networks::of_instances() const {
  std::vector<Network*> all;
  for (const std::unique_ptr<Network>& instance : instances) all.push_back(instance.get());
  return all;
}

Result<std::unique_ptr<IsolatedMesh>> IsolatedMesh::build(Plan& plan, const MeshFile& file,
                                                          const RunDirectory& run,
                                                          bool prefers_ipv6) {
  const size_t leftovers = remove_leftovers();
  const bool ipv6 = has_ipv6();
  if (prefers_ipv6 && !ipv6) {
    return Error{Code::invalid_config, Origin::local, "--ipv6: this machine has no IPv6"};
  }
  const Result<PrivateRange> range =
      PrivateRange::choose(text_of("/proc/net/route"), text_of("/proc/net/ipv6_route"));
  if (!range) return range.error();
  const Isolation isolation = make_isolation(file, *range, ::getpid(), ipv6, prefers_ipv6);
  std::error_code ignored;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
  isolate(plan, file, isolation, run, self, usual_user());
  if (Result<void> written = write_names(run, isolation); !written) return written.error();

  auto made = std::make_unique<IsolatedMesh>();
  Result<std::unique_ptr<IsolatedNetwork>> network = IsolatedNetwork::build(isolation);
  if (!network) return network.error();
  made->network_ = std::move(*network);
  made->sites_ = isolation.sites.size();
  made->description_ = "isolated: " + std::to_string(made->sites_) + " network namespaces, " +
                       range->text4() + (ipv6 ? " and " + range->text6() : "") +
                       ", control plane in " + isolation.hub;
  if (leftovers > 0) {
    made->description_ += "\nremoved " + std::to_string(leftovers) +
                          " network namespaces that a killed run had left";
  }
  return made;
}

Networks IsolatedMesh::networks(Loop& loop) const {
  Networks networks{network_in(network_->hub(), make_uv_network(loop)), {}};
  for (size_t i = 0; i < sites_; ++i) {
    networks.instances.push_back(network_in(network_->site(i), make_uv_network(loop)));
  }
  return networks;
}

LaterSignals::LaterSignals() {
  sigset_t waiting;
  ::sigemptyset(&waiting);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&waiting, number);
  ::pthread_sigmask(SIG_BLOCK, &waiting, &before_);
}

LaterSignals::~LaterSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

}  // namespace tulle::cli
