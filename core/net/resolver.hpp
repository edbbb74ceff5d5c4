// Resolver: host names to addresses, asynchronously and on the loop. No thread, no blocking call.
//
// A Lookup is a question and, later, its answer as data; dropping it gives the question up. Answers
// are not kept here: whoever asks knows for how long it needs them. The look-up follows the system's
// configuration (/etc/hosts, /etc/resolv.conf, its search list and timeouts).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/result.hpp"
#include "core/net/address.hpp"

namespace tulle {

class Loop;
class Task;

struct ResolvedHost {
  std::vector<Address> addresses;  // not empty; in order of preference; at most 16
  Duration time_to_live{};         // as the name server says; zero: it did not say
};

class Lookup {
 public:
  virtual ~Lookup() = default;
  virtual bool done() const = 0;
  // When done(). `not_found`: there is no such host, or it has no address; `io_error`: nobody said.
  virtual const Result<ResolvedHost>& outcome() const = 0;
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  // `owner` is woken when the look-up is done, which may be at once.
  virtual std::unique_ptr<Lookup> look_up(const std::string& host, uint16_t port, Task& owner) = 0;
};

// Over c-ares; its sockets are on the loop, which must have the libuv engine.
Result<std::unique_ptr<Resolver>> make_resolver(Loop& loop);

}  // namespace tulle
