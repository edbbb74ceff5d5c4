// ApiCall: one request to the API, from its head to the end of its answer.
//
//   reading (the body) -> waiting (for the store) -> answering -> over;  or watching
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "control-plane/api/api.hpp"
#include "core/http/stream.hpp"
#include "core/net/task.hpp"

namespace tulle::api {

class ApiCall final : public Task {
 public:
  ApiCall(Loop& loop, Api& api, StreamRef stream);
  ~ApiCall() override;

 private:
  enum class Phase : uint8_t { starting, reading, waiting, answering, watching, over };

  void run() override;
  void start();
  std::optional<Answer> understand();
  std::optional<Answer> check_body();
  void read();
  void act();
  void wait();
  void reply(Answer answer);
  void send();

  Api& api_;
  StreamRef stream_;
  Phase phase_ = Phase::starting;
  Request request_;
  Step step_;
  std::string rest_;      // of the answer's body
  size_t sent_ = 0;
  std::unique_ptr<WatchStream> watch_;
};

}  // namespace tulle::api
