// Journal: where everything goes that is to be read: the lines of the programs, and what happens.
//
// Called from a task's run(); never calls back. Names are those of processes: "kitchen-1",
// "kitchen-1.sidecar", "control-plane".
#pragma once

#include <cstdint>
#include <string_view>

namespace tulle::cli {

class Journal {
 public:
  enum class Weight : uint8_t { info, good, warning, error };
  virtual ~Journal() = default;
  virtual void line(std::string_view process, bool is_error, std::string_view text) = 0;
  virtual void event(std::string_view process, Weight weight, std::string_view text) = 0;
};

}  // namespace tulle::cli
