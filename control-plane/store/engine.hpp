// Engine: what makes a batch of operations durable. The store's seam for SQLite and for tests.
//
// load() is called once, before anything else. commit() is called on the writer thread (inline for
// engines that never wait), one batch at a time; all of a batch becomes durable or none of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control-plane/store/store.hpp"

namespace tulle::store {

struct Operation {
  enum class Type : uint8_t { put_document, remove_document, put_record, take_record, audit };
  Type type = Type::audit;
  Key key;                // documents
  uint64_t revision = 0;  // documents
  std::string json;       // put_document
  Record record;          // records; take_record: kind and key
  AuditEntry audit;       // no line when the actor is empty
  std::string outcome = "done";
  int64_t time_us = 0;    // Unix, of the audit line and against which records expire
};

struct Contents {
  std::vector<Document> documents;
  uint64_t revision = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual Result<Contents> load() = 0;
  // One entry per operation: what take_record found.
  virtual Result<std::vector<std::optional<Record>>> commit(const std::vector<Operation>& batch) = 0;
  virtual Result<std::vector<std::string>> audit_lines(size_t most) = 0;  // loop thread
  virtual bool waits() const = 0;  // commit() may take long: it gets a thread
};

Result<std::unique_ptr<Engine>> open_sqlite(const std::string& directory);
std::unique_ptr<Engine> make_memory_engine();
Result<std::unique_ptr<Store>> make_store(Loop& loop, std::unique_ptr<Engine> engine);

}  // namespace tulle::store
