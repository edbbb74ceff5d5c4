#include "cli/api/session.hpp"

namespace tulle::cli {
namespace {

class Waiting final : public Task {
 public:
  Waiting(Loop& loop, ApiClient& client, const ApiRequest& request)
      : Task(loop), call(client, request, *this) {}
  ApiCall call;

 private:
  void run() override {
    if (call.done()) loop_.stop();
  }
};

std::optional<Result<NetworkNamespace>> open_place(const ApiAccess& access) {
  if (access.network_namespace.empty()) return std::nullopt;
  return NetworkNamespace::open(access.network_namespace);
}

std::unique_ptr<Network> make_network(Loop& loop, const std::optional<Result<NetworkNamespace>>& place) {
  std::unique_ptr<Network> network = make_uv_network(loop);
  if (!place || !*place) return network;
  return network_in(**place, std::move(network));
}

}  // namespace

Session::Session(ApiAccess access)
    : place_(open_place(access)),
      network_(make_network(loop_, place_)),
      client_(loop_, *network_, std::move(access)) {}

Result<ApiAnswer> Session::ask(const ApiRequest& request) {
  if (place_ && !*place_) return place_->error();
  Waiting waiting(loop_, client_, request);
  loop_.run();
  return waiting.call.take();
}

}  // namespace tulle::cli
