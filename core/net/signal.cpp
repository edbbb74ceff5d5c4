#include "core/net/signal.hpp"

#include <uv.h>

#include <utility>

#include "core/net/task.hpp"
#include "core/net/uv_cell.hpp"

namespace tulle {

namespace {

class UvSignalWatch final : public SignalWatch {
 public:
  UvSignalWatch(Loop& loop, int signal_number, Task& owner)
      : owner_(owner), cell_(new Cell(loop, *this)) {
    // Fails only for numbers that are no signals.
    ASSERT(uv_signal_init(uv_loop_of(loop), &cell_->handle) == 0);
    cell_->bind();
    const int status = uv_signal_start(&cell_->handle, &UvSignalWatch::on_signal, signal_number);
    ASSERT(status == 0);
  }
  ~UvSignalWatch() override { cell_->close(); }

  bool take() override { return std::exchange(arrived_, false); }

 private:
  using Cell = UvCell<uv_signal_t, UvSignalWatch>;

  static void on_signal(uv_signal_t* handle, int) {
    Cell& cell = Cell::of(handle);
    if (cell.owner == nullptr) return;
    cell.loop.freshen_now();
    cell.owner->arrived_ = true;
    cell.owner->owner_.wake();
  }

  Task& owner_;
  Cell* cell_;
  bool arrived_ = false;
};

}  // namespace

std::unique_ptr<SignalWatch> watch_signal(Loop& loop, int signal_number, Task& owner) {
  return std::make_unique<UvSignalWatch>(loop, signal_number, owner);
}

}  // namespace tulle
