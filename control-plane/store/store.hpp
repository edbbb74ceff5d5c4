// Store: documents, internal records and the audit log, durably, behind five verbs:
// view, put, remove, take, watch.
//
// A write is checked against tip(): the committed view with the writes that are under way, in
// order. It is acknowledged (Write::done) when it survives a power cut; view() and watches see it at
// that moment, never earlier. When a commit fails, it and every write behind it fail, and tip() is
// view() again. The audit line of a write commits with it. Loop thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control-plane/model/document.hpp"
#include "control-plane/model/store_view.hpp"
#include "core/base/result.hpp"

namespace tulle {
class Loop;
class Task;
}  // namespace tulle

namespace tulle::store {

using model::Document;
using model::DocumentPtr;
using model::Key;
using model::StoreView;

// Who did what; `when` and the outcome are the store's.
struct AuditEntry {
  std::string actor;   // "admin", "spiffe://...", "registration"; empty: not worth a line
  std::string action;  // "put", "remove", "token", "ca prepare"
  std::string object;  // `HTTPRoute "default/kitchen"`
  std::string detail;  // never a secret
};

// Something of the control plane itself that no document shows, for example a join token: found by
// (kind, key), gone when it expires. Keys of secrets are hashes of them.
struct Record {
  std::string kind;
  std::string key;
  std::string value;
  int64_t expires_unix_seconds = 0;  // 0: never
};

// A write under way. Its owner is woken when it is done; dropping it does not take it back.
class Write {
 public:
  ~Write();
  Write(const Write&) = delete;
  Write& operator=(const Write&) = delete;

  bool done() const { return outcome_.has_value(); }
  // When done(). The revision that holds it. Errors: io_error (the disk, and what to do),
  // overloaded (too much is under way).
  const Result<uint64_t>& outcome() const { return *outcome_; }
  const DocumentPtr& document() const { return document_; }  // put: as stored; else null
  const std::optional<Record>& record() const { return record_; }  // take: what was there

 private:
  friend class WriteQueue;
  explicit Write(Task* owner) : owner_(owner) {}

  Task* owner_;
  struct PendingWrite* pending_ = nullptr;  // the store's side, while it is under way
  std::optional<Result<uint64_t>> outcome_;
  DocumentPtr document_;
  std::optional<Record> record_;
};
using WriteRef = std::unique_ptr<Write>;

// Wakes its owner whenever view().revision() has moved.
class Watch {
 public:
  virtual ~Watch() = default;
};

class Store {
 public:
  virtual ~Store() = default;

  virtual const StoreView& view() const = 0;
  virtual const StoreView& tip() const = 0;
  virtual std::unique_ptr<Watch> watch(Task& owner) = 0;

  // Creates or replaces. The store sets generation, resourceVersion and creationTimestamp of the
  // document; the caller has checked everything else against tip(). `owner` may be null.
  virtual WriteRef put(Document document, AuditEntry audit, Task* owner) = 0;
  // The document must be in tip().
  virtual WriteRef remove(const Key& key, AuditEntry audit, Task* owner) = 0;

  // Records, under their own revision-less rules: a put replaces; a take reads and removes at once,
  // so that of two who take the same record one finds nothing.
  virtual WriteRef put(Record record, AuditEntry audit, Task* owner) = 0;
  virtual WriteRef take(const std::string& kind, const std::string& key, AuditEntry audit,
                        Task* owner) = 0;
  // A line by itself, for what was refused or touches no document.
  virtual void audit(AuditEntry entry, std::string outcome) = 0;

  // The newest audit lines, newest first, one JSON object each: {"time","actor","action","object",
  // "detail","outcome"}. Reads the disk; for people, at most 1000.
  virtual Result<std::vector<std::string>> audit_lines(size_t most) = 0;

  // False once the disk has refused a commit and until one succeeds again: not ready.
  virtual bool healthy() const = 0;
};

// SQLite in `<directory>/tulle.db`. Errors (invalid_config) say what is wrong with the file and what
// to do; nothing is ever deleted or replaced.
Result<std::unique_ptr<Store>> open_sqlite_store(Loop& loop, const std::string& directory);
// Nothing on disk, acknowledged at once by mail: for tests of what stands on a store.
std::unique_ptr<Store> make_memory_store(Loop& loop);

}  // namespace tulle::store
