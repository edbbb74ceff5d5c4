// Session: a command's conversation with the API, one request at a time, waited for.
#pragma once

#include <memory>
#include <optional>

#include "cli/api/client.hpp"
#include "cli/isolate/network_namespace.hpp"
#include "core/net/loop.hpp"
#include "core/net/network.hpp"

namespace tulle::cli {

class Session {
 public:
  explicit Session(ApiAccess access);
  Result<ApiAnswer> ask(const ApiRequest& request);
  const ApiAccess& access() const { return client_.access(); }

 private:
  Loop loop_{make_uv_engine()};
  // Of an isolated mesh: the namespace its control plane is in, or why it cannot be entered.
  const std::optional<Result<NetworkNamespace>> place_;
  const std::unique_ptr<Network> network_;
  ApiClient client_;
};

}  // namespace tulle::cli
