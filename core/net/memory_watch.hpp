// MemoryWatch: wakes a task when the process's memory has become short (MemoryBudget::shedding()).
//
// The budget may fill on any thread; the wake comes as mail of the task's loop, so within a turn.
// Whoever is woken looks at the budget again and keeps looking (by a timer) until it is over.
#pragma once

#include <utility>

#include "core/base/memory_budget.hpp"
#include "core/net/loop.hpp"
#include "core/net/task.hpp"

namespace tulle {

class MemoryWatch final : private MemoryBudget::Watcher {
 public:
  explicit MemoryWatch(Task& owner) : owner_(owner) { MemoryBudget::of_process().watch(*this); }
  ~MemoryWatch() { MemoryBudget::of_process().forget(*this); }
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  bool take() { return std::exchange(heard_, false); }  // short since the last call

 private:
  // Watches end on their loop's thread, where mail is delivered: one that is there stays there.
  class Letter final : public Message {
   public:
    explicit Letter(MemoryWatch& watch) : watch_(&watch) {}
    void deliver() override {
      if (!MemoryBudget::of_process().is_watched_by(*watch_)) return;
      watch_->heard_ = true;
      watch_->owner_.wake();
    }

   private:
    MemoryWatch* watch_;
  };

  void memory_is_short() override { owner_.loop().post(std::make_unique<Letter>(*this)); }

  Task& owner_;
  bool heard_ = false;
};

}  // namespace tulle
