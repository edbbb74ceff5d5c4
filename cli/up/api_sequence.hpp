// ApiSequence: requests to the API, one after the other, until one is refused.
//
// Owns the call that runs. done() is final; failure() says which request and why.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/api/client.hpp"

namespace tulle::cli {

struct ApiStep {
  std::string what;  // "Service kitchen", for messages
  ApiRequest request;
};

class ApiSequence final : private Task {
 public:
  ApiSequence(Loop& loop, ApiClient& client, std::vector<ApiStep> steps, Task& owner);
  bool done() const { return failure_.has_value() || (next_ == steps_.size() && call_ == nullptr); }
  const std::optional<std::string>& failure() const { return failure_; }

 private:
  void run() override;
  Task& task() { return *this; }
  ApiClient& client_;
  const std::vector<ApiStep> steps_;
  Task& owner_;
  size_t next_ = 0;
  std::unique_ptr<ApiCall> call_;
  std::optional<std::string> failure_;
};

}  // namespace tulle::cli
