// Session: a command's conversation with the API, one request at a time, waited for.
#pragma once

#include <memory>

#include "cli/api/client.hpp"
#include "core/net/loop.hpp"
#include "core/net/network.hpp"

namespace tulle::cli {

class Session {
 public:
  explicit Session(ApiAccess access)
      : client_(loop_, *network_, std::move(access)) {}
  Result<ApiAnswer> ask(const ApiRequest& request);
  const ApiAccess& access() const { return client_.access(); }

 private:
  Loop loop_{make_uv_engine()};
  std::unique_ptr<Network> network_ = make_uv_network(loop_);
  ApiClient client_;
};

}  // namespace tulle::cli
