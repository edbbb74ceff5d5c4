// WriteQueue: the Store over any engine. Orders writes, groups them into commits, publishes views.
//
// Owns the engine, the writer and every write under way. While a batch is being committed further
// writes gather into the next (group commit): the slower the disk, the larger the batches.
#pragma once

#include <memory>
#include <vector>

#include "control-plane/store/engine.hpp"
#include "control-plane/store/writer.hpp"
#include "core/base/list.hpp"
#include "core/net/task.hpp"

namespace tulle::store {

struct WatchTag {};

// The store's side of a write.
struct PendingWrite {
  Operation operation;
  DocumentPtr document;    // put: what becomes visible
  Write* write = nullptr;  // null: nobody waits any more
};

class WriteQueue final : public Store, private Task {
 public:
  WriteQueue(Loop& loop, std::unique_ptr<Engine> engine, StoreView view);
  ~WriteQueue() override;

  const StoreView& view() const override { return view_; }
  const StoreView& tip() const override { return tip_; }
  std::unique_ptr<Watch> watch(Task& owner) override;
  WriteRef put(Document document, AuditEntry audit, Task* owner) override;
  WriteRef remove(const Key& key, AuditEntry audit, Task* owner) override;
  WriteRef put(Record record, AuditEntry audit, Task* owner) override;
  WriteRef take(const std::string& kind, const std::string& key, AuditEntry audit,
                Task* owner) override;
  void audit(AuditEntry entry, std::string outcome) override;
  Result<std::vector<std::string>> audit_lines(size_t most) override;
  bool healthy() const override { return healthy_; }

 private:
  class Watcher;
  friend class Watcher;
  using Pending = std::vector<std::unique_ptr<PendingWrite>>;

  void run() override;
  WriteRef enqueue(Operation operation, DocumentPtr document, Task* owner);
  void start_batch();
  void conclude(Committed committed);
  void publish(Committed& committed);
  void give_up(const Error& why);
  static void answer(PendingWrite& pending, Result<uint64_t> outcome);

  std::unique_ptr<Engine> engine_;
  StoreView view_;
  StoreView tip_;
  Pending queue_;    // for the next batch
  Pending running_;  // what the writer has
  size_t queued_bytes_ = 0;
  bool healthy_ = true;
  List<Watcher, WatchTag> watchers_;
  Writer writer_;  // after what its thread uses
};

}  // namespace tulle::store
