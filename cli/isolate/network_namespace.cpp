#include "cli/isolate/network_namespace.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include <utility>

#include "core/base/assert.hpp"

namespace tulle::cli {
namespace {

class VisitingNetwork final : public Network {
 public:
  VisitingNetwork(const NetworkNamespace& place, std::unique_ptr<Network> inside)
      : place_(place), inside_(std::move(inside)) {}

  Result<std::unique_ptr<Acceptor>> listen(const Address& at, const ListenOptions& options,
                                           Task& owner) override {
    const NetworkNamespace::Visit visit(place_);
    return inside_->listen(at, options, owner);
  }
  std::unique_ptr<ByteStream> connect(const Address& to, const ConnectOptions& options) override {
    const NetworkNamespace::Visit visit(place_);
    return inside_->connect(to, options);
  }

 private:
  const NetworkNamespace& place_;
  const std::unique_ptr<Network> inside_;
};

Error refused(const std::string& name) {
  const int number = errno;
  std::string why = "network namespace " + name + ": " + ::strerror(number);
  if (number == EPERM || number == EACCES) why += "; root may enter it: try sudo";
  return {Code::io_error, Origin::local, why};
}

}  // namespace

Result<NetworkNamespace> NetworkNamespace::open(const std::string& name) {
  const std::string path = std::string(kNamespaceDirectory) + "/" + name;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return refused(name);
  NetworkNamespace opened(name, descriptor);
  // Whether we may: said here, so that a visit cannot fail.
  const int here = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (here < 0) return refused(name);
  const Result<void> tried = opened.enter();
  if (tried) ASSERT(::setns(here, CLONE_NEWNET) == 0);
  ::close(here);
  if (!tried) return tried.error();
  return opened;
}

NetworkNamespace::~NetworkNamespace() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> NetworkNamespace::enter() const {
  if (::setns(descriptor_, CLONE_NEWNET) != 0) return refused(name_);
  return {};
}

NetworkNamespace::Visit::Visit(const NetworkNamespace& place)
    : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
  // Going on elsewhere would mean another network's services.
  ASSERT(before_ >= 0 && ::setns(place.descriptor_, CLONE_NEWNET) == 0);
}

NetworkNamespace::Visit::~Visit() {
  ASSERT(::setns(before_, CLONE_NEWNET) == 0);
  ::close(before_);
}

std::unique_ptr<Network> network_in(const NetworkNamespace& place, std::unique_ptr<Network> inside) {
  return std::make_unique<VisitingNetwork>(place, std::move(inside));
}

}  // namespace tulle::cli
