#include "sidecar/routing/matchers.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tulle::routing {
namespace {

StringMatch text_match(StringMatch::Kind kind, std::string text, bool ignore_case = false) {
  StringMatch match;
  match.kind = kind;
  match.text = std::move(text);
  match.ignore_case = ignore_case;
  if (kind == StringMatch::Kind::regex) match.pattern = *Pattern::compile(match.text);
  return match;
}

TEST(StringMatch, Table) {
  using Kind = StringMatch::Kind;
  struct {
    Kind kind;
    bool ignore_case;
    std::string text, value;
    bool matches;
  } const cases[] = {
      {Kind::exact, false, "abc", "abc", true},
      {Kind::exact, false, "abc", "ABC", false},
      {Kind::exact, true, "abc", "aBC", true},
      {Kind::exact, false, "", "", true},
      {Kind::exact, false, "", "a", false},
      {Kind::prefix, false, "ab", "abc", true},
      {Kind::prefix, false, "abc", "ab", false},
      {Kind::prefix, true, "ab", "ABc", true},
      {Kind::suffix, false, "bc", "abc", true},
      {Kind::suffix, true, "bc", "aBC", true},
      {Kind::suffix, true, "abc", "bc", false},
      {Kind::contains, false, "b", "abc", true},
      {Kind::contains, true, "b", "aBc", true},
      {Kind::contains, true, "bd", "aBc", false},
      {Kind::regex, false, "a.c", "abc", true},
      {Kind::regex, false, "a.c", "xabc", false},
  };
  for (const auto& each : cases) {
    const StringMatch match = text_match(each.kind, each.text, each.ignore_case);
    EXPECT_EQ(match.matches(each.value), each.matches) << each.text << " " << each.value;
  }
}

TEST(Pattern, RefusesWhatIsNotRe2) {
  const auto bad = Pattern::compile("a(b");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().detail, "not a valid RE2 expression: missing ): a(b");
  EXPECT_FALSE(Pattern::compile("(?=look)"));
  EXPECT_FALSE(Pattern::compile("((a{1,1000}){1,1000}){1,1000}"));  // would be huge
}

Fields fields_of(std::initializer_list<std::pair<std::string_view, std::string_view>> list) {
  Fields fields;
  for (const auto& [name, value] : list) fields.add(name, value);
  return fields;
}

bool matches(const FieldMatch& match, const Fields& fields) {
  return match.matches({"GET", "http", "web:80", "/p?q", &fields});
}

FieldMatch field(const std::string& name, FieldMatch::Kind kind, bool invert = false,
                 const std::string& text = "v") {
  FieldMatch match;
  match.name = name;
  match.kind = kind;
  match.invert = invert;
  match.text = text_match(StringMatch::Kind::exact, text);
  return match;
}

TEST(FieldMatch, PresenceAndAbsence) {
  using Kind = FieldMatch::Kind;
  const Fields with = fields_of({{"x-a", ""}});
  const Fields without;
  EXPECT_TRUE(matches(field("x-a", Kind::present), with));
  EXPECT_FALSE(matches(field("x-a", Kind::present), without));
  EXPECT_FALSE(matches(field("x-a", Kind::present, true), with));
  EXPECT_TRUE(matches(field("x-a", Kind::present, true), without));
  EXPECT_FALSE(matches(field("x-a", Kind::absent), with));
  EXPECT_TRUE(matches(field("x-a", Kind::absent), without));
}

TEST(FieldMatch, AMissingFieldIsNeverAValue) {
  using Kind = FieldMatch::Kind;
  const Fields none;
  const Fields other = fields_of({{"x-a", "w"}});
  EXPECT_FALSE(matches(field("x-a", Kind::text), none));
  EXPECT_FALSE(matches(field("x-a", Kind::text, true), none));  // inverting does not help
  EXPECT_TRUE(matches(field("x-a", Kind::text, true), other));
  FieldMatch empty = field("x-a", Kind::text, false, "");
  EXPECT_FALSE(matches(empty, none));
  empty.missing_is_empty = true;
  EXPECT_TRUE(matches(empty, none));
}

TEST(FieldMatch, JoinsRepeatedFields) {
  const Fields twice = fields_of({{"x-a", "1"}, {"x-b", "9"}, {"x-a", "2"}});
  EXPECT_TRUE(matches(field("x-a", FieldMatch::Kind::text, false, "1,2"), twice));
  EXPECT_FALSE(matches(field("x-a", FieldMatch::Kind::text, false, "1"), twice));
  // Longer than what is joined on the stack.
  const std::string longer(20 * 1024, 'x');
  const Fields big = fields_of({{"x-a", "1"}, {"x-a", longer}, {"x-a", longer}});
  EXPECT_TRUE(matches(field("x-a", FieldMatch::Kind::text, false, "1," + longer + "," + longer),
                      big));
}

TEST(FieldMatch, Ranges) {
  FieldMatch match = field("x-n", FieldMatch::Kind::range);
  match.range_start = -5;
  match.range_end = 10;
  for (const auto& [value, hit] : std::initializer_list<std::pair<std::string_view, bool>>{
           {"0", true}, {"-5", true}, {"9", true}, {"10", false}, {"-6", false}, {"", false},
           {"1x", false}, {"+1", false}, {" 1", false}, {"99999999999999999999", false}}) {
    EXPECT_EQ(matches(match, fields_of({{"x-n", value}})), hit) << value;
  }
}

TEST(FieldMatch, PseudoFields) {
  const Fields none;
  EXPECT_TRUE(matches(field(":method", FieldMatch::Kind::text, false, "GET"), none));
  EXPECT_TRUE(matches(field(":path", FieldMatch::Kind::text, false, "/p?q"), none));
  EXPECT_TRUE(matches(field(":scheme", FieldMatch::Kind::text, false, "http"), none));
  EXPECT_TRUE(matches(field(":authority", FieldMatch::Kind::text, false, "web:80"), none));
  EXPECT_TRUE(matches(field("host", FieldMatch::Kind::text, false, "web:80"), none));
}

TEST(QueryMatch, FirstParameterOfTheName) {
  using Kind = QueryMatch::Kind;
  const auto query = [](Kind kind, const std::string& text, std::string_view from) {
    QueryMatch match;
    match.name = "a";
    match.kind = kind;
    match.text = text_match(StringMatch::Kind::exact, text);
    return match.matches(from);
  };
  EXPECT_TRUE(query(Kind::text, "1", "a=1"));
  EXPECT_TRUE(query(Kind::text, "1", "b=2&a=1&a=3"));
  EXPECT_FALSE(query(Kind::text, "3", "a=1&a=3"));
  EXPECT_TRUE(query(Kind::text, "", "a"));
  EXPECT_TRUE(query(Kind::text, "1=2", "a=1=2"));
  EXPECT_FALSE(query(Kind::text, "1", "aa=1"));
  EXPECT_FALSE(query(Kind::text, "1", ""));
  EXPECT_TRUE(query(Kind::present, "", "x&a"));
  EXPECT_FALSE(query(Kind::present, "", "x&&"));
  EXPECT_TRUE(query(Kind::absent, "", "x"));
  EXPECT_FALSE(query(Kind::absent, "", "a="));
}

TEST(SplitPath, AtTheFirstQuestionMark) {
  EXPECT_EQ(split_path("/a?b?c").path, "/a");
  EXPECT_EQ(split_path("/a?b?c").query, "b?c");
  EXPECT_EQ(split_path("/a").query, "");
}

}  // namespace
}  // namespace tulle::routing
