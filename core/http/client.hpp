// Call: one request and its whole answer over a Pool. For programs that ask, not for proxying.
//
// Owns its ticket and then the stream; destroying it gives the call up. The answer is collected up
// to a bound. A safe repetition is made once: when a kept connection turns out to have been closed
// under the request, before a byte of an answer, and the method is idempotent.
#pragma once

#include <optional>
#include <string>

#include "core/base/clock.hpp"
#include "core/base/result.hpp"
#include "core/http/head.hpp"
#include "core/http/pool.hpp"
#include "core/net/task.hpp"
#include "core/net/timer.hpp"

namespace tulle {

struct CallRequest {
  Head head;                          // method, scheme, authority, path, fields; see request_head()
  std::string body;
  Duration timeout = std::chrono::seconds(30);  // for everything; zero: none
  size_t max_body = 4 * 1024 * 1024;  // of the answer; more is an Error
};

struct CallAnswer {
  Head head;
  std::string body;
  Fields trailers;
};

Head request_head(Method method, std::string_view method_text, std::string_view authority,
                  std::string_view path);

class Call final : private Task {
 public:
  // Begins at once. `owner` is woken when done().
  Call(Loop& loop, Pool& pool, CallRequest request, Task& owner);
  ~Call() override;

  bool done() const { return outcome_.has_value(); }
  Result<CallAnswer>& outcome() { return *outcome_; }  // when done()

 private:
  void run() override;
  void begin();
  bool take_stream();
  void send();
  void receive();
  bool repeat();
  void conclude(Result<CallAnswer> outcome);

  Pool& pool_;
  const CallRequest request_;
  Task& owner_;
  Timer timer_;
  std::optional<Ticket> ticket_;
  StreamRef stream_;
  CallAnswer answer_;
  std::optional<Result<CallAnswer>> outcome_;
  size_t sent_ = 0;
  bool repeated_ = false;
};

}  // namespace tulle
