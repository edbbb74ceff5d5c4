// LastGoodStore: the last good state on disk, as a running sidecar keeps it. Main loop only.
//
// Read once at start; written some time after a change, and only when something is different. What
// cannot be read or written costs a line of log: a member of a mesh serves without it.
#pragma once

#include <string>

#include "core/net/timer.hpp"
#include "sidecar/config/bootstrap.hpp"
#include "sidecar/config/last_good.hpp"

namespace tulle::source {

class LastGoodStore {
 public:
  // Nothing is kept when `bootstrap` names no directory. `owner` is woken when due() becomes true.
  LastGoodStore(const config::Bootstrap& bootstrap, Task& owner);

  // What a former run used. Whatever is wrong with it costs no more than waiting for the control
  // plane.
  config::LastGood load();

  void save_later();
  bool due();  // true once: save() is to be called
  void save(const config::LastGood& state);

 private:
  const std::string directory_;
  const std::string whose_;
  Timer timer_;
  xds::ContentHash saved_{};
  bool failed_ = false;
};

}  // namespace tulle::source
