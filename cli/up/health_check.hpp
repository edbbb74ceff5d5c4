// HealthCheck: asks again and again whether something on this machine answers.
//
// With a path: a GET that is answered 2xx or 3xx. Without: a connection that opens. Asks often until
// the first success, then seldom. It says what it saw last; what to make of it is its owner's.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/http/client.hpp"
#include "core/net/network.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"

namespace tulle::cli {

struct HealthTarget {
  Address address;
  std::string path;  // empty: the port is open
};

class HealthCheck final : private Task, private ByteStream::Reader {
 public:
  // Begins at once; `owner` is woken when passing() changes.
  HealthCheck(Loop& loop, Network& network, HealthTarget target, Task& owner);
  ~HealthCheck() override;

  bool passing() const { return passing_; }
  const std::string& reason() const { return reason_; }  // of the last failure, in words

 private:
  void run() override;
  Task& task() { return *this; }
  void on_open() override { opened_ = true; wake(); }
  void on_bytes(ByteView) override {}
  void on_end(std::optional<Error> why) override;
  void ask();
  void conclude(bool good, std::string reason);

  Network& network_;
  const HealthTarget target_;
  Task& owner_;
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<Call> call_;
  std::unique_ptr<ByteStream> connection_;
  Timer next_;
  Timer limit_;
  bool opened_ = false;
  std::optional<std::string> refused_;
  bool passing_ = false;
  int failures_ = 0;
  std::string reason_;
};

}  // namespace tulle::cli
