// DestinationSearch: where connections for "<host>:<port>" go: said by the present generation, or by
// a later one that it waits for.
//
// Owns a pin of a generation while it searches, and the place among those who wait. Silence never
// means that there is no such destination: without an answer the search fails as config_missing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/net/timer.hpp"
#include "sidecar/exchange/exchange_host.hpp"

namespace tulle::tcp {

class DestinationSearch {
 public:
  // `waiter` is woken when there may be news; it then calls look_for() again.
  DestinationSearch(exchange::ExchangeHost& host, Task& waiter);
  ~DestinationSearch() { let_go(); }
  DestinationSearch(const DestinationSearch&) = delete;
  DestinationSearch& operator=(const DestinationSearch&) = delete;

  enum class State : uint8_t {
    waiting,
    found,
    nobody_to_ask,  // there is no control plane: what the listener itself says holds
    failed,         // error() says why
  };
  State look_for(std::string_view name);
  // Valid until let_go().
  const config::Destination& found() const { return *found_; }
  const Error& error() const { return *error_; }
  void let_go();

 private:
  State fail(Error error);

  exchange::ExchangeHost& host_;
  exchange::Generation* generation_ = nullptr;  // pinned
  const config::Destination* found_ = nullptr;
  exchange::DestinationWait wait_;
  std::optional<Error> error_;
  Timer timer_;
  Instant until_ = kNever;
};

}  // namespace tulle::tcp
