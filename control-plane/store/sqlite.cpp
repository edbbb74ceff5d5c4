#include "control-plane/store/sqlite.hpp"

#include <sqlite3.h>

#include <utility>

#include "core/base/assert.hpp"

namespace tulle::store {

namespace {

Error failure(sqlite3* database) {
  const char* words = database != nullptr ? sqlite3_errmsg(database) : "out of memory";
  const int code = database != nullptr ? sqlite3_errcode(database) : SQLITE_NOMEM;
  // What the file itself is guilty of, against what the disk or the system is.
  const bool file = code == SQLITE_NOTADB || code == SQLITE_CORRUPT;
  return {file ? Code::invalid_config : Code::io_error, Origin::local, words};
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : raw_(std::exchange(other.raw_, nullptr)), next_(other.next_) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(raw_, other.raw_);
  std::swap(next_, other.next_);
  return *this;
}

Statement::~Statement() { sqlite3_finalize(raw_); }

Statement& Statement::bind(int64_t value) {
  ASSERT(sqlite3_bind_int64(raw_, next_++, value) == SQLITE_OK);
  return *this;
}

Statement& Statement::bind(std::string_view value) {
  ASSERT(sqlite3_bind_text64(raw_, next_++, value.data() == nullptr ? "" : value.data(),
                             value.size(), SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(raw_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  Error error = failure(sqlite3_db_handle(raw_));
  reset();
  return error;
}

Result<void> Statement::run() {
  while (true) {
    const Result<bool> row = step();
    if (!row) return row.error();
    if (!*row) return {};
  }
}

void Statement::reset() {
  sqlite3_reset(raw_);
  sqlite3_clear_bindings(raw_);
  next_ = 1;
}

int64_t Statement::integer(int column) const { return sqlite3_column_int64(raw_, column); }

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(raw_, column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<size_t>(sqlite3_column_bytes(raw_, column))};
}

Result<Database> Database::open(const std::string& path, Mode mode) {
  sqlite3* raw = nullptr;
  const int access = mode == Mode::create ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                          : SQLITE_OPEN_READONLY;
  const int code = sqlite3_open_v2(path.c_str(), &raw, access | SQLITE_OPEN_FULLMUTEX, nullptr);
  if (code != SQLITE_OK) {
    Error error = failure(raw);
    sqlite3_close_v2(raw);
    return error;
  }
  sqlite3_busy_timeout(raw, 5000);
  return Database(raw);
}

Database::Database(Database&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}

Database& Database::operator=(Database&& other) noexcept {
  std::swap(raw_, other.raw_);
  return *this;
}

Database::~Database() { sqlite3_close_v2(raw_); }

Result<void> Database::execute(const char* sql) {
  if (sqlite3_exec(raw_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failure(raw_);
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  Statement statement;
  const int code = sqlite3_prepare_v3(raw_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement.raw_, nullptr);
  if (code != SQLITE_OK) return failure(raw_);
  return statement;
}

Result<int64_t> Database::integer(std::string_view sql) {
  Result<Statement> statement = prepare(sql);
  if (!statement) return statement.error();
  const Result<bool> row = statement->step();
  if (!row) return row.error();
  return *row ? statement->integer(0) : 0;
}

Result<std::string> Database::text(std::string_view sql) {
  Result<Statement> statement = prepare(sql);
  if (!statement) return statement.error();
  const Result<bool> row = statement->step();
  if (!row) return row.error();
  return *row ? statement->text(0) : std::string();
}

}  // namespace tulle::store
