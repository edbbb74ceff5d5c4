// Matchers over strings and header fields: what routes and policies are made of.
//
// A matcher always has a condition: there is no empty matcher that matches everything. Matching is
// pure and allocates nothing (a field repeated to more than 16 KiB in all, and RE2 while it warms
// its automaton, are the exceptions).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/http/head.hpp"

namespace tulle::routing {

// What a matcher may look at. Views into the request; nothing is copied.
struct RequestView {
  std::string_view method;
  std::string_view scheme;     // "http" or "https"
  std::string_view authority;  // lower case, without a trailing dot; the port as it was sent
  std::string_view path;       // canonical, with the query
  const Fields* fields = nullptr;  // not null

  static RequestView of(const Head& head) {
    return {head.method_text, head.scheme, head.authority, head.path, &head.fields};
  }
};

// A regular expression in RE2 syntax, matched against the whole text.
class Pattern {
 public:
  static Result<std::shared_ptr<const Pattern>> compile(std::string_view regex);
  ~Pattern();
  bool matches(std::string_view text) const;
  const std::string& text() const;

 private:
  struct Compiled;
  explicit Pattern(std::unique_ptr<Compiled> compiled);
  std::unique_ptr<Compiled> compiled_;
};

struct StringMatch {
  enum class Kind : uint8_t { exact, prefix, suffix, contains, regex };
  Kind kind = Kind::exact;
  bool ignore_case = false;                // ASCII; not for regex
  std::string text;                        // lower-case already when ignore_case
  std::shared_ptr<const Pattern> pattern;  // regex only

  bool matches(std::string_view value) const;
};

// One header field. Several values are joined with ',' first, as RFC 9110 section 5.3 allows.
// A missing field matches only `absent`, or as "" when missing_is_empty; inverting a test of the
// value does not make a missing field match. Pseudo fields :method, :path, :scheme and :authority
// (also "host") are read from the request line.
struct FieldMatch {
  enum class Kind : uint8_t { present, absent, text, range };
  std::string name;  // lower-case
  Kind kind = Kind::present;
  bool invert = false;
  bool missing_is_empty = false;
  StringMatch text;
  int64_t range_start = 0, range_end = 0;  // half open

  bool matches(const RequestView& request) const;

 private:
  bool test(std::string_view value) const;
  bool test_joined(const Fields& fields) const;
};

// One query parameter: the first of that name, byte-exact (nothing is decoded).
struct QueryMatch {
  enum class Kind : uint8_t { present, absent, text };
  std::string name;
  Kind kind = Kind::present;
  StringMatch text;

  bool matches(std::string_view query) const;  // what follows '?', without it
};

// "/a/b?x=1" is {"/a/b", "x=1"}.
struct SplitPath {
  std::string_view path, query;
};
SplitPath split_path(std::string_view path);

}  // namespace tulle::routing
