// DestinationRequests: which destinations the workers want to be told about, told to the main loop.
//
// Workers write, the main loop reads; one mutex, taken only for destinations that a snapshot lacks
// and once in minutes for use. Invariant: at most kMost names are asked for at a time, so that a
// caller who makes names up cannot fill the memory of the sidecar or of the control plane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tulle {

class Loop;
class Task;

class DestinationRequests {
 public:
  static constexpr size_t kMost = 4096;

  // `owner` lives on `main` and is woken when there is something to take.
  DestinationRequests(Loop& main, Task& owner) : main_(main), owner_(owner) {}

  // Any thread. False: no more names fit.
  bool ask(std::string_view name);
  void report_use(std::vector<std::string> names);

  // Main loop. Names that are new since the last call; names that had requests.
  std::vector<std::string> take_asked();
  std::vector<std::string> take_used();
  // How often a name did not fit, since the last call.
  uint64_t take_refused();
  // Asked for without a worker: what a former process used. False: as ask().
  bool restore(std::string_view name);
  void forget(std::string_view name);  // can be asked for again
  size_t size() const;

 private:
  class Wake;
  void wake_owner();  // mutex_ is held

  Loop& main_;
  Task& owner_;
  mutable std::mutex mutex_;
  std::set<std::string, std::less<>> names_;
  std::vector<std::string> asked_;
  std::vector<std::string> used_;
  uint64_t refused_ = 0;
  bool wake_posted_ = false;
};

}  // namespace tulle
