// The engine over SQLite: write-ahead log, synchronous=FULL, one transaction per batch.
//
// One process per directory (a lock file says so). The file is recognised by its application id and
// schema version; what is not ours, newer or damaged is refused and left as it is.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "control-plane/model/read.hpp"
#include "control-plane/store/audit_line.hpp"
#include "control-plane/store/engine.hpp"
#include "control-plane/store/sqlite.hpp"

namespace tulle::store {

namespace {

constexpr int64_t kApplicationId = 0x54554c31;  // "TUL1"
constexpr int64_t kSchemaVersion = 1;

constexpr const char* kSchema = R"(
BEGIN IMMEDIATE;
CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE documents(kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
                       revision INTEGER NOT NULL, json TEXT NOT NULL,
                       PRIMARY KEY(kind, namespace, name));
CREATE TABLE records(kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
                     expires INTEGER NOT NULL, PRIMARY KEY(kind, key)) WITHOUT ROWID;
CREATE INDEX records_by_expiry ON records(expires);
CREATE TABLE audit(id INTEGER PRIMARY KEY, line TEXT NOT NULL);
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
INSERT INTO meta VALUES('revision', 0);
PRAGMA application_id = 0x54554c31;
PRAGMA user_version = 1;
COMMIT;
)";

// A lock that ends with the process, whatever ends it.
class DirectoryLock {
 public:
  DirectoryLock() = default;
  DirectoryLock(DirectoryLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  DirectoryLock& operator=(DirectoryLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~DirectoryLock() {
    if (descriptor_ >= 0) close(descriptor_);
  }

  Result<void> take(const std::string& path) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor_ < 0) {
      return Error{Code::io_error, Origin::local, path + ": " + std::strerror(errno)};
    }
    if (flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return {};
    return Error{Code::invalid_config, Origin::local,
                 path + " is held by another process: another control plane uses this data_dir"};
  }

 private:
  int descriptor_ = -1;
};

Error refused(const std::string& path, const std::string& what) {
  return {Code::invalid_config, Origin::local,
          path + ": " + what +
              ". Nothing was changed. Restore the file from a backup (together with its -wal file, if "
              "there is one), or move it away to begin with an empty store"};
}

Error at(const std::string& path, const Error& error) {
  if (error.code == Code::invalid_config) return refused(path, error.detail);
  return {error.code, Origin::local, path + ": " + error.detail};
}

class SqliteEngine final : public Engine {
 public:
  SqliteEngine(std::string path, DirectoryLock lock, Database database)
      : path_(std::move(path)), lock_(std::move(lock)), database_(std::move(database)) {}

  Result<void> prepare();
  Result<Contents> load() override;
  Result<std::vector<std::optional<Record>>> commit(const std::vector<Operation>& batch) override;
  Result<std::vector<std::string>> audit_lines(size_t most) override;
  bool waits() const override { return true; }

 private:
  Result<void> recognise();
  Result<void> apply(const Operation& operation, std::optional<Record>& found);
  Result<void> take(const Operation& operation, std::optional<Record>& found);
  Result<void> apply_all(const std::vector<Operation>& batch,
                         std::vector<std::optional<Record>>& found);

  const std::string path_;
  DirectoryLock lock_;
  Database database_;
  std::optional<Database> reader_;  // of the loop's thread
  Statement put_document_, remove_document_, put_record_, find_record_, remove_record_,
      drop_expired_, add_audit_, set_revision_;
};

// Before anything is written: is it ours, and whole?
Result<void> SqliteEngine::recognise() {
  const Result<int64_t> tables = database_.integer("SELECT count(*) FROM sqlite_schema");
  if (!tables) return at(path_, tables.error());
  const Result<int64_t> id = database_.integer("PRAGMA application_id");
  if (!id) return at(path_, id.error());
  if (*tables == 0 && *id == 0) return {};  // new
  if (*id != kApplicationId) return refused(path_, "is not a database of Tulle's control plane");
  const Result<int64_t> version = database_.integer("PRAGMA user_version");
  if (!version) return at(path_, version.error());
  if (*version != kSchemaVersion) {
    return refused(path_, "has schema version " + std::to_string(*version) +
                              ", this program knows version " + std::to_string(kSchemaVersion) +
                              (*version > kSchemaVersion ? "; run the newer program" : ""));
  }
  const Result<std::string> check = database_.text("PRAGMA quick_check(1)");
  if (!check) return at(path_, check.error());
  if (*check != "ok") return refused(path_, "is damaged: " + *check);
  return {};
}

Result<void> SqliteEngine::prepare() {
  if (Result<void> known = recognise(); !known) return known;
  const Result<std::string> mode = database_.text("PRAGMA journal_mode = WAL");
  if (!mode) return at(path_, mode.error());
  if (*mode != "wal") return refused(path_, "cannot use a write-ahead log here (" + *mode + ")");
  Result<void> set = database_.execute(
      "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;");
  if (!set) return at(path_, set.error());
  const Result<int64_t> tables = database_.integer("SELECT count(*) FROM sqlite_schema");
  if (!tables) return at(path_, tables.error());
  if (*tables == 0) {
    if (Result<void> made = database_.execute(kSchema); !made) return at(path_, made.error());
  }
  struct Text {
    Statement& statement;
    const char* sql;
  };
  const Text texts[] = {
      {put_document_,
       "INSERT OR REPLACE INTO documents(kind, namespace, name, revision, json) VALUES(?,?,?,?,?)"},
      {remove_document_, "DELETE FROM documents WHERE kind = ? AND namespace = ? AND name = ?"},
      {put_record_, "INSERT OR REPLACE INTO records(kind, key, value, expires) VALUES(?,?,?,?)"},
      {find_record_, "SELECT value, expires FROM records WHERE kind = ? AND key = ?"},
      {remove_record_, "DELETE FROM records WHERE kind = ? AND key = ?"},
      {drop_expired_, "DELETE FROM records WHERE expires > 0 AND expires <= ?"},
      {add_audit_, "INSERT INTO audit(line) VALUES(?)"},
      {set_revision_, "UPDATE meta SET value = ? WHERE key = 'revision'"},
  };
  for (const Text& text : texts) {
    Result<Statement> prepared = database_.prepare(text.sql);
    if (!prepared) return at(path_, prepared.error());
    text.statement = std::move(*prepared);
  }
  return {};
}

Result<Contents> SqliteEngine::load() {
  Contents contents;
  const Result<int64_t> revision = database_.integer("SELECT value FROM meta WHERE key = 'revision'");
  if (!revision) return at(path_, revision.error());
  contents.revision = static_cast<uint64_t>(*revision);
  Result<Statement> rows = database_.prepare("SELECT kind, namespace, name, json FROM documents");
  if (!rows) return at(path_, rows.error());
  while (true) {
    const Result<bool> row = rows->step();
    if (!row) return at(path_, row.error());
    if (!*row) return contents;
    model::DocumentRead read = model::read_stored_document(rows->text(3));
    if (!read.document) {
      return refused(path_, "holds " + rows->text(0) + " \"" + rows->text(1) + "/" + rows->text(2) +
                                "\", which this program cannot read: " +
                                read.problems.front().text());
    }
    contents.documents.push_back(std::move(*read.document));
  }
}

Result<std::vector<std::optional<Record>>> SqliteEngine::commit(const std::vector<Operation>& batch) {
  std::vector<std::optional<Record>> found(batch.size());
  Result<void> done = database_.execute("BEGIN IMMEDIATE");
  if (done) done = apply_all(batch, found);
  if (done) done = database_.execute("COMMIT");
  if (done) return found;
  Error error = at(path_, done.error());
  (void)database_.execute("ROLLBACK");
  return error;
}

Result<void> SqliteEngine::apply_all(const std::vector<Operation>& batch,
                                     std::vector<std::optional<Record>>& found) {
  uint64_t revision = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (Result<void> applied = apply(batch[i], found[i]); !applied) return applied;
    if (!batch[i].audit.actor.empty()) {
      const std::string line = audit_line(batch[i]);
      if (Result<void> added = add_audit_.bind(line).run(); !added) return added;
    }
    revision = std::max(revision, batch[i].revision);
  }
  if (revision == 0) return {};
  return set_revision_.bind(static_cast<int64_t>(revision)).run();
}

Result<void> SqliteEngine::apply(const Operation& operation, std::optional<Record>& found) {
  const std::string_view kind = model::name_of(operation.key.kind);
  const Key& key = operation.key;
  const Record& record = operation.record;
  switch (operation.type) {
    case Operation::Type::put_document:
      return put_document_.bind(kind)
          .bind(key.namespace_name)
          .bind(key.name)
          .bind(static_cast<int64_t>(operation.revision))
          .bind(operation.json)
          .run();
    case Operation::Type::remove_document:
      return remove_document_.bind(kind).bind(key.namespace_name).bind(key.name).run();
    case Operation::Type::put_record: {
      Result<void> dropped = drop_expired_.bind(operation.time_us / 1'000'000).run();
      if (!dropped) return dropped;
      return put_record_.bind(record.kind)
          .bind(record.key)
          .bind(record.value)
          .bind(record.expires_unix_seconds)
          .run();
    }
    case Operation::Type::take_record: return take(operation, found);
    case Operation::Type::audit: return {};
  }
  return {};
}

Result<void> SqliteEngine::take(const Operation& operation, std::optional<Record>& found) {
  Record record = operation.record;
  const Result<bool> row = find_record_.bind(record.kind).bind(record.key).step();
  if (!row) return row.error();
  if (!*row) return {};
  record.value = find_record_.text(0);
  record.expires_unix_seconds = find_record_.integer(1);
  find_record_.reset();
  const bool expired = record.expires_unix_seconds != 0 &&
                       record.expires_unix_seconds <= operation.time_us / 1'000'000;
  if (!expired) found = record;
  return remove_record_.bind(record.kind).bind(record.key).run();
}

Result<std::vector<std::string>> SqliteEngine::audit_lines(size_t most) {
  if (!reader_) {
    Result<Database> opened = Database::open(path_, Database::Mode::read_only);
    if (!opened) return at(path_, opened.error());
    reader_.emplace(std::move(*opened));
  }
  Result<Statement> rows = reader_->prepare("SELECT line FROM audit ORDER BY id DESC LIMIT ?");
  if (!rows) return at(path_, rows.error());
  rows->bind(static_cast<int64_t>(most));
  std::vector<std::string> lines;
  while (true) {
    const Result<bool> row = rows->step();
    if (!row) return at(path_, row.error());
    if (!*row) return lines;
    lines.push_back(rows->text(0));
  }
}

Error system_error(const std::string& path) {
  return {Code::io_error, Origin::local, path + ": " + std::strerror(errno)};
}

// The file holds hashes of tokens and everybody's configuration: for its owner only. SQLite gives
// its companions the same mode.
Result<void> make_file(const std::string& directory, const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return system_error(path);
  ::close(file);
  const int folder = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return system_error(directory);
  const bool synced = ::fsync(folder) == 0;
  ::close(folder);
  if (!synced) return system_error(directory);
  return {};
}

}  // namespace

Result<std::unique_ptr<Engine>> open_sqlite(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return system_error(directory);
  const std::string path = directory + "/tulle.db";
  DirectoryLock lock;
  if (Result<void> taken = lock.take(directory + "/lock"); !taken) return taken.error();
  if (Result<void> made = make_file(directory, path); !made) return made.error();
  Result<Database> database = Database::open(path, Database::Mode::create);
  if (!database) return at(path, database.error());
  auto engine = std::make_unique<SqliteEngine>(path, std::move(lock), std::move(*database));
  if (Result<void> prepared = engine->prepare(); !prepared) return prepared.error();
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace tulle::store
