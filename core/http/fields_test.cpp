#include "core/http/fields.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/http/head.hpp"

namespace tulle {
namespace {

TEST(FieldId, EveryNameIsFoundByItself) {
  for (unsigned i = 1; i < static_cast<unsigned>(FieldId::count_); ++i) {
    const FieldId id = static_cast<FieldId>(i);
    EXPECT_EQ(field_id(field_name(id)), id) << field_name(id);
  }
  EXPECT_EQ(field_name(FieldId::x_forwarded_client_cert), "x-forwarded-client-cert");
  EXPECT_EQ(field_name(FieldId::tulle_retried), "tulle-retried");
  EXPECT_EQ(field_name(FieldId::b3), "b3");
  for (const std::string name : {"", "x", "hosT", "hosts", "content-lengtg"}) {
    EXPECT_EQ(field_id(name), FieldId::unknown) << name;
  }
  EXPECT_EQ(field_id(std::string(1000, 'x')), FieldId::unknown);
}

TEST(Fields, KeepOrderAndDuplicates) {
  Fields fields;
  fields.add("X-One", "1");
  fields.add("Cookie", "a");
  fields.add("x-one", "2");
  fields.add(FieldId::cookie, "b");
  ASSERT_EQ(fields.size(), 4u);
  EXPECT_EQ(fields[0].name, "x-one");
  EXPECT_EQ(fields[1].name, "cookie");
  EXPECT_EQ(fields[1].id, FieldId::cookie);
  EXPECT_EQ(fields[2].value, "2");
  EXPECT_EQ(fields.count(FieldId::cookie), 2u);
  EXPECT_EQ(fields.get(FieldId::cookie), "a");
  EXPECT_EQ(fields.get("cookie"), "a");
  EXPECT_EQ(fields.get("x-one"), "1");
  EXPECT_FALSE(fields.get("x-two").has_value());
  EXPECT_EQ(fields.weight(), 2 * (5 + 1 + 32) + 2 * (6 + 1 + 32));
}

TEST(Fields, NamesThatAreNotKnown) {
  Fields fields;
  fields.add_other("x-own", "1");
  fields.add("X-OWN-NAME-OF-SOME-LENGTH", "2");
  ASSERT_EQ(fields.size(), 2u);
  EXPECT_EQ(fields[0].id, FieldId::unknown);
  EXPECT_EQ(fields[0].name, "x-own");
  EXPECT_EQ(fields[0].value, "1");
  EXPECT_EQ(fields[1].name, "x-own-name-of-some-length");
  EXPECT_EQ(fields.get("x-own"), "1");
  EXPECT_EQ(fields.weight(), 5 + 1 + 32 + 25 + 1 + 32u);
}

TEST(Fields, AValueInTwoPieces) {
  Fields fields;
  fields.add(FieldId::via, "1.1 ", "sidecar");
  fields.add(FieldId::server, "a", "");
  EXPECT_EQ(fields.get(FieldId::via), "1.1 sidecar");
  EXPECT_EQ(fields.get(FieldId::server), "a");
  EXPECT_EQ(fields.weight(), 3 + 11 + 32 + 6 + 1 + 32u);
}

TEST(Fields, AllAreSeenInOrder) {
  Fields fields;
  std::string seen;
  for (const Fields::Field field : fields) seen.append(field.name);
  EXPECT_EQ(seen, "");
  fields.add(FieldId::via, "1.1 a");
  fields.add("x-own", "b");
  for (const Fields::Field field : fields) seen.append(field.name).append(field.value);
  EXPECT_EQ(seen, "via1.1 ax-ownb");
}

TEST(Fields, RemoveAndSet) {
  Fields fields;
  fields.add("x-a", "1");
  fields.add("te", "x");
  fields.add("X-A", "2");
  fields.add("x-b", "");
  fields.set("X-a", "3");
  EXPECT_EQ(fields.size(), 3u);
  EXPECT_EQ(fields.get("x-a"), "3");
  fields.remove(FieldId::te);
  EXPECT_FALSE(fields.has(FieldId::te));
  EXPECT_FALSE(fields.get(FieldId::te).has_value());
  fields.set(FieldId::te, "trailers");
  EXPECT_EQ(fields.get("te"), "trailers");
  EXPECT_EQ(fields.get("x-b"), "");
  fields.remove("X-B");
  fields.remove("TE");
  fields.remove("x-a");
  EXPECT_TRUE(fields.empty());
  EXPECT_EQ(fields.weight(), 0u);
}

TEST(Fields, AValueMayComeFromTheSameFields) {
  Fields fields;
  fields.add("x-a", std::string(500, 'a'));
  for (int i = 0; i < 10; ++i) fields.set(FieldId::via, *fields.get("x-a"));
  EXPECT_EQ(fields.get(FieldId::via), std::string(500, 'a'));
}

TEST(Fields, ClearForgetsEverything) {
  Fields fields;
  fields.add("host", "a");
  fields.add("x", std::string(100'000, 'y'));
  fields.clear();
  EXPECT_TRUE(fields.empty());
  EXPECT_FALSE(fields.has(FieldId::host));
  EXPECT_EQ(fields.weight(), 0u);
  fields.add("x", "z");
  EXPECT_EQ(fields.get("x"), "z");
}

TEST(Head, Methods) {
  EXPECT_EQ(method_of("GET"), Method::get);
  EXPECT_EQ(method_of("DELETE"), Method::delete_);
  EXPECT_EQ(method_of("CONNECT"), Method::connect);
  EXPECT_EQ(method_of("get"), Method::other);
  EXPECT_EQ(method_of(""), Method::other);
  EXPECT_TRUE(is_safe(Method::options));
  EXPECT_FALSE(is_safe(Method::delete_));
  EXPECT_TRUE(is_idempotent(Method::delete_));
  EXPECT_TRUE(is_idempotent(Method::get));
  EXPECT_FALSE(is_idempotent(Method::post));
  EXPECT_FALSE(is_idempotent(Method::other));
}

TEST(Head, ClearIsComplete) {
  Head head;
  head.method = Method::post;
  head.method_text = "POST";
  head.path = std::string(10'000, 'x');
  head.status = 200;
  head.fields.add("x", "y");
  head.content_length = 3;
  head.ended = head.expects_continue = true;
  head.version = Version::http2;
  head.clear();
  EXPECT_TRUE(head.is_request());
  EXPECT_EQ(head.method, Method::get);
  EXPECT_TRUE(head.method_text.empty() && head.path.empty() && head.fields.empty());
  EXPECT_FALSE(head.content_length || head.ended || head.expects_continue);
  EXPECT_EQ(head.version, Version::http11);
}

}  // namespace
}  // namespace tulle
