#include "control-plane/store/write_queue.hpp"

#include <utility>

#include "control-plane/model/read.hpp"
#include "core/base/assert.hpp"
#include "core/base/clock.hpp"
#include "core/base/log.hpp"
#include "core/base/time_text.hpp"

namespace tulle::store {

namespace {

// A commit takes milliseconds; who is further ahead than this is refused, so that a stuck disk
// costs bounded memory.
constexpr size_t kMostQueued = 10000;
constexpr size_t kMostQueuedBytes = 64 * 1024 * 1024;
// What one transaction holds: its time is what everybody behind it waits.
constexpr size_t kMostInBatch = 1000;

}  // namespace

Write::~Write() {
  if (pending_ != nullptr) pending_->write = nullptr;
}

class WriteQueue::Watcher final : public Watch, public tulle::ListNode<WatchTag> {
 public:
  explicit Watcher(Task& owner) : owner_(owner) {}
  void wake() { owner_.wake(); }

 private:
  Task& owner_;
};

WriteQueue::WriteQueue(Loop& loop, std::unique_ptr<Engine> engine, StoreView view)
    : Task(loop),
      engine_(std::move(engine)),
      view_(view),
      tip_(std::move(view)),
      writer_(loop, *engine_, *this) {}

// Writes whose tickets are still held learn nothing more.
WriteQueue::~WriteQueue() {
  for (Pending* list : {&running_, &queue_}) {
    for (const auto& pending : *list) {
      if (pending->write != nullptr) pending->write->pending_ = nullptr;
    }
  }
}

std::unique_ptr<Watch> WriteQueue::watch(Task& owner) {
  auto watcher = std::make_unique<Watcher>(owner);
  watchers_.push_back(*watcher);
  return watcher;
}

WriteRef WriteQueue::put(Document document, AuditEntry audit, Task* owner) {
  const DocumentPtr before = tip_.find(document.key());
  const uint64_t revision = tip_.revision() + 1;
  Operation operation{.type = Operation::Type::put_document, .audit = std::move(audit)};
  operation.time_us = wall_now().us;
  document.metadata.resource_version = revision;
  if (before == nullptr) {
    document.metadata.generation = 1;
    document.metadata.creation_timestamp = rfc3339(operation.time_us / 1'000'000);
  } else {
    const bool changed = before->spec != document.spec;
    document.metadata.generation = before->metadata.generation + (changed ? 1 : 0);
    document.metadata.creation_timestamp = before->metadata.creation_timestamp;
  }
  operation.key = document.key();
  operation.revision = revision;
  operation.json = model::to_json(document);
  return enqueue(std::move(operation), std::make_shared<const Document>(std::move(document)), owner);
}

WriteRef WriteQueue::remove(const Key& key, AuditEntry audit, Task* owner) {
  ASSERT(tip_.find(key) != nullptr);
  Operation operation{.type = Operation::Type::remove_document, .key = key,
                      .revision = tip_.revision() + 1, .audit = std::move(audit)};
  return enqueue(std::move(operation), nullptr, owner);
}

WriteRef WriteQueue::put(Record record, AuditEntry audit, Task* owner) {
  Operation operation{.type = Operation::Type::put_record, .record = std::move(record),
                      .audit = std::move(audit)};
  return enqueue(std::move(operation), nullptr, owner);
}

WriteRef WriteQueue::take(const std::string& kind, const std::string& key, AuditEntry audit,
                          Task* owner) {
  Operation operation{.type = Operation::Type::take_record, .audit = std::move(audit)};
  operation.record.kind = kind;
  operation.record.key = key;
  return enqueue(std::move(operation), nullptr, owner);
}

void WriteQueue::audit(AuditEntry entry, std::string outcome) {
  Operation operation{.type = Operation::Type::audit, .audit = std::move(entry),
                      .outcome = std::move(outcome)};
  enqueue(std::move(operation), nullptr, nullptr);
}

Result<std::vector<std::string>> WriteQueue::audit_lines(size_t most) {
  return engine_->audit_lines(most);
}

WriteRef WriteQueue::enqueue(Operation operation, DocumentPtr document, Task* owner) {
  WriteRef write(new Write(owner));
  auto pending = std::make_unique<PendingWrite>();
  pending->write = write.get();
  write->pending_ = pending.get();
  if (queue_.size() >= kMostQueued || queued_bytes_ >= kMostQueuedBytes) {
    answer(*pending, Error{Code::overloaded, Origin::local,
                           "the store is behind with its writes; try again"});
    return write;
  }
  if (operation.time_us == 0) operation.time_us = wall_now().us;
  queued_bytes_ += operation.json.size() + operation.record.value.size();
  if (operation.type == Operation::Type::put_document) {
    tip_ = tip_.with(document, operation.revision);
  } else if (operation.type == Operation::Type::remove_document) {
    tip_ = tip_.without(operation.key, operation.revision);
  }
  pending->operation = std::move(operation);
  pending->document = std::move(document);
  queue_.push_back(std::move(pending));
  wake();
  return write;
}

void WriteQueue::run() {
  if (std::optional<Committed> committed = writer_.finished()) conclude(std::move(*committed));
  if (!writer_.busy() && !queue_.empty()) start_batch();
}

void WriteQueue::start_batch() {
  const size_t count = std::min(queue_.size(), kMostInBatch);
  std::vector<Operation> batch;
  batch.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    PendingWrite& pending = *queue_[i];
    queued_bytes_ -= pending.operation.json.size() + pending.operation.record.value.size();
    batch.push_back(std::move(pending.operation));
    // What conclude() needs.
    pending.operation.type = batch.back().type;
    pending.operation.key = batch.back().key;
    pending.operation.revision = batch.back().revision;
  }
  const auto end = queue_.begin() + static_cast<ptrdiff_t>(count);
  running_.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
  queue_.erase(queue_.begin(), end);
  writer_.start(std::move(batch));
}

void WriteQueue::conclude(Committed committed) {
  if (!committed) return give_up(committed.error());
  if (!healthy_) log::info("the store can write again");
  healthy_ = true;
  publish(committed);
}

void WriteQueue::publish(Committed& committed) {
  ASSERT(committed->size() == running_.size());
  model::StoreViewBuilder builder(view_);
  uint64_t revision = view_.revision();
  for (const auto& pending : running_) {
    const Operation& operation = pending->operation;
    if (operation.revision != 0) revision = operation.revision;
    if (operation.type == Operation::Type::put_document) builder.put(pending->document);
    if (operation.type == Operation::Type::remove_document) builder.remove(operation.key);
  }
  const bool moved = revision != view_.revision();
  if (moved) view_ = builder.finish(revision);
  for (size_t i = 0; i < running_.size(); ++i) {
    PendingWrite& pending = *running_[i];
    if (pending.write != nullptr) {
      pending.write->document_ = pending.document;
      pending.write->record_ = std::move((*committed)[i]);
    }
    answer(pending, revision);
  }
  running_.clear();
  if (!moved) return;
  for (Watcher& watcher : watchers_) watcher.wake();
}

// Everything behind was checked against a tip that will not be.
void WriteQueue::give_up(const Error& why) {
  if (healthy_) log::error("the store could not write: " + why.detail);
  healthy_ = false;
  for (Pending* list : {&running_, &queue_}) {
    for (const auto& pending : *list) answer(*pending, why);
    list->clear();
  }
  queued_bytes_ = 0;
  tip_ = view_;
}

void WriteQueue::answer(PendingWrite& pending, Result<uint64_t> outcome) {
  Write* write = std::exchange(pending.write, nullptr);
  if (write == nullptr) return;
  write->pending_ = nullptr;
  write->outcome_ = std::move(outcome);
  if (write->owner_ != nullptr) write->owner_->wake();
}

Result<std::unique_ptr<Store>> make_store(Loop& loop, std::unique_ptr<Engine> engine) {
  Result<Contents> contents = engine->load();
  if (!contents) return contents.error();
  model::StoreViewBuilder builder{StoreView()};
  for (Document& document : contents->documents) {
    builder.put(std::make_shared<const Document>(std::move(document)));
  }
  return std::unique_ptr<Store>(std::make_unique<WriteQueue>(
      loop, std::move(engine), builder.finish(contents->revision)));
}

Result<std::unique_ptr<Store>> open_sqlite_store(Loop& loop, const std::string& directory) {
  Result<std::unique_ptr<Engine>> engine = open_sqlite(directory);
  if (!engine) return engine.error();
  return make_store(loop, std::move(*engine));
}

std::unique_ptr<Store> make_memory_store(Loop& loop) {
  return std::move(*make_store(loop, make_memory_engine()));
}

}  // namespace tulle::store
