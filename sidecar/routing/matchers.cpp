#include "sidecar/routing/matchers.hpp"

#include <re2/re2.h>

#include <array>
#include <charconv>
#include <utility>

#include "core/base/ascii.hpp"

namespace tulle::routing {

namespace {

constexpr size_t kJoinedOnStack = 16 * 1024;

bool contains_ignoring_case(std::string_view value, std::string_view lowered) {
  for (size_t at = 0; at + lowered.size() <= value.size(); ++at) {
    if (equals_ignoring_case(value.substr(at, lowered.size()), lowered)) return true;
  }
  return false;
}

bool matches_ignoring_case(StringMatch::Kind kind, std::string_view value, std::string_view text) {
  if (value.size() < text.size()) return false;
  switch (kind) {
    case StringMatch::Kind::exact: return equals_ignoring_case(value, text);
    case StringMatch::Kind::prefix: return equals_ignoring_case(value.substr(0, text.size()), text);
    case StringMatch::Kind::suffix:
      return equals_ignoring_case(value.substr(value.size() - text.size()), text);
    case StringMatch::Kind::contains: return contains_ignoring_case(value, text);
    case StringMatch::Kind::regex: break;
  }
  return false;
}

std::optional<std::string_view> pseudo_field(std::string_view name, const RequestView& request) {
  if (name == ":method") return request.method;
  if (name == ":path") return request.path;
  if (name == ":scheme") return request.scheme;
  if (name == ":authority" || name == "host") return request.authority;
  return std::nullopt;
}

bool in_range(std::string_view value, int64_t start, int64_t end) {
  int64_t number = 0;
  const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  return error == std::errc() && stop == value.data() + value.size() && number >= start &&
         number < end;
}

}  // namespace

struct Pattern::Compiled {
  explicit Compiled(std::string_view regex, const RE2::Options& options)
      : re(re2::StringPiece(regex.data(), regex.size()), options) {}
  RE2 re;
};

Result<std::shared_ptr<const Pattern>> Pattern::compile(std::string_view regex) {
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(1 << 20);  // bounds the program and its automaton, so also a hostile pattern
  auto compiled = std::make_unique<Compiled>(regex, options);
  if (!compiled->re.ok()) {
    return Error{Code::invalid_config, Origin::local,
                 "not a valid RE2 expression: " + compiled->re.error()};
  }
  return std::shared_ptr<const Pattern>(new Pattern(std::move(compiled)));
}

Pattern::Pattern(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
Pattern::~Pattern() = default;

bool Pattern::matches(std::string_view text) const {
  return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), compiled_->re);
}

const std::string& Pattern::text() const { return compiled_->re.pattern(); }

bool StringMatch::matches(std::string_view value) const {
  if (kind == Kind::regex) return pattern->matches(value);
  if (ignore_case) return matches_ignoring_case(kind, value, text);
  switch (kind) {
    case Kind::exact: return value == text;
    case Kind::prefix: return value.starts_with(text);
    case Kind::suffix: return value.ends_with(text);
    case Kind::contains: return value.find(text) != std::string_view::npos;
    case Kind::regex: break;
  }
  return false;
}

bool FieldMatch::test(std::string_view value) const {
  const bool hit = kind == Kind::range ? in_range(value, range_start, range_end)
                                       : text.matches(value);
  return hit != invert;
}

// Several lines of one field are one list (RFC 9110, 5.3). Rare, so off the common path.
bool FieldMatch::test_joined(const Fields& fields) const {
  std::array<char, kJoinedOnStack> buffer;
  size_t size = 0;
  std::string longer;  // only when the buffer is too small
  bool first = true;
  for (const Fields::Field field : fields) {
    if (field.name != name) continue;
    const size_t needed = field.value.size() + (first ? 0 : 1);
    if (longer.empty() && size + needed > buffer.size()) longer.assign(buffer.data(), size);
    if (!longer.empty()) {
      if (!first) longer.push_back(',');
      longer.append(field.value);
    } else {
      if (!first) buffer[size++] = ',';
      size += field.value.copy(buffer.data() + size, field.value.size());
    }
    first = false;
  }
  return test(longer.empty() ? std::string_view(buffer.data(), size) : std::string_view(longer));
}

bool FieldMatch::matches(const RequestView& request) const {
  std::optional<std::string_view> value = pseudo_field(name, request);
  size_t count = value ? 1 : 0;
  if (!value) {
    for (const Fields::Field field : *request.fields) {
      if (field.name != name) continue;
      if (count == 0) value = field.value;
      ++count;
    }
  }
  if (kind == Kind::present) return (count > 0) != invert;
  if (kind == Kind::absent) return (count == 0) != invert;
  if (count == 0) return missing_is_empty && test({});
  return count == 1 ? test(*value) : test_joined(*request.fields);
}

bool QueryMatch::matches(std::string_view query) const {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const size_t equals = pair.find('=');
    if (pair.substr(0, equals) != name) continue;
    if (kind != Kind::text) return kind == Kind::present;
    return text.matches(equals == std::string_view::npos ? std::string_view()
                                                         : pair.substr(equals + 1));
  }
  return kind == Kind::absent;
}

SplitPath split_path(std::string_view path) {
  const size_t mark = path.find('?');
  if (mark == std::string_view::npos) return {path, {}};
  return {path.substr(0, mark), path.substr(mark + 1)};
}

}  // namespace tulle::routing
