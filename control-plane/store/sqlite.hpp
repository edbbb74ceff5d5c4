// Database and Statement: the little of SQLite's C interface that the engine needs, with ownership.
// For .cpp files of this folder.
//
// A Database is one connection, used by one thread at a time. Values are always bound, never spelled
// into the text of a statement.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace tulle::store {

class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  Statement& bind(int64_t value);           // the next parameter
  Statement& bind(std::string_view value);  // must outlive the step
  // True: a row is there. After false, or an error, the statement is ready to be bound again.
  Result<bool> step();
  Result<void> run();                       // to the end
  void reset();                             // leaves rows that were not read
  int64_t integer(int column) const;
  std::string text(int column) const;

 private:
  friend class Database;
  sqlite3_stmt* raw_ = nullptr;
  int next_ = 1;
};

class Database {
 public:
  enum class Mode : uint8_t { create, read_only };
  static Result<Database> open(const std::string& path, Mode mode);
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;
  ~Database();

  Result<void> execute(const char* sql);
  Result<Statement> prepare(std::string_view sql);
  Result<int64_t> integer(std::string_view sql);     // the first value of the first row
  Result<std::string> text(std::string_view sql);

 private:
  explicit Database(sqlite3* raw) : raw_(raw) {}
  sqlite3* raw_;
};

}  // namespace tulle::store
