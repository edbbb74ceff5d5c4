// YamlTree: one YAML document as plain data with line numbers, and FieldReader, which reads a
// mapping field by field and reports what nobody asked for.
//
// The tree is bounded in depth and size (aliases are expanded), and names occur once in a mapping.
// Reading reports every problem, each with its line and its path.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tulle::cli {

struct FileProblem {
  int line = 0;         // from 1; 0: the whole file
  std::string path;     // "services.kitchen.port"; empty: the whole document
  std::string message;

  std::string text(std::string_view file) const;  // "mesh.yaml:3: services.kitchen.port: ..."
};
using FileProblems = std::vector<FileProblem>;

struct YamlTree {
  enum class Kind : uint8_t { null, scalar, sequence, mapping };
  Kind kind = Kind::null;
  int line = 0;
  std::string text;   // scalar
  bool quoted = false;
  std::vector<YamlTree> items;                              // sequence
  std::vector<std::pair<std::string, YamlTree>> fields;     // mapping, in the order of the file
};

// Exactly one document. Null, with problems, when it is not YAML or exceeds a bound.
std::optional<YamlTree> read_yaml(std::string_view text, FileProblems& problems);

class FieldReader {
 public:
  // A value that is not a mapping is reported once and then looks empty.
  FieldReader(const YamlTree& value, std::string path, FileProblems& problems);

  const YamlTree* find(const char* name);  // null: absent (or given without a value)
  std::string text(const char* name, std::string_view otherwise = {});
  std::string required_text(const char* name);
  uint64_t number(const char* name, uint64_t otherwise, uint64_t low, uint64_t high);
  std::vector<std::string> texts(const char* name);  // a list of strings
  std::vector<std::pair<std::string, std::string>> pairs(const char* name);  // name: value
  void finish() const;  // reports what nobody asked for

  std::string path_of(std::string_view name) const;
  void report(const char* name, std::string message) const;  // at that field, or at the mapping
  int line() const { return line_; }

 private:
  const YamlTree* value_;  // null: not a mapping
  int line_;
  std::string path_;
  FileProblems& problems_;
  std::vector<std::string_view> known_;
};

std::string_view kind_name(const YamlTree& value);  // "a list", for messages

}  // namespace tulle::cli
