#include "core/http/forms.hpp"

#include <gtest/gtest.h>

namespace tulle {
namespace {

std::string text_of(const Fields& fields) {
  std::string text;
  for (const Fields::Field field : fields) {
    text.append(field.name).append(": ").append(field.value).append("\n");
  }
  return text;
}

class FormsTest : public testing::Test {
 protected:
  FormsTest() {
    from_.method = Method::post;
    from_.method_text = "POST";
    from_.scheme = "https";
    from_.authority = "orders:8080";
    from_.path = "/a%2fb?c";
    from_.version = Version::http2;
    from_.content_length = 5;
    from_.expects_continue = true;
    context_.via = "tulle";
  }
  std::string forwarded() {
    Head to;
    forward_request(from_, to, context_);
    return text_of(to.fields);
  }

  Head from_;
  ForwardingContext context_;
};

TEST_F(FormsTest, EverythingButTheFieldsIsCopied) {
  Head to;
  forward_request(from_, to, context_);
  EXPECT_EQ(to.method, Method::post);
  EXPECT_EQ(to.method_text, "POST");
  EXPECT_EQ(to.scheme, "https");
  EXPECT_EQ(to.authority, "orders:8080");
  EXPECT_EQ(to.path, "/a%2fb?c");
  EXPECT_EQ(to.content_length, 5u);
  EXPECT_TRUE(to.expects_continue);
  EXPECT_FALSE(to.ended);
}

TEST_F(FormsTest, OrderAndDuplicatesAreKept) {
  from_.fields.add("x-b", "1");
  from_.fields.add("accept", "a");
  from_.fields.add("x-b", "2");
  from_.fields.add("accept", "b");
  EXPECT_EQ(forwarded(), "x-b: 1\naccept: a\nx-b: 2\naccept: b\nvia: 2 tulle\n");
}

TEST_F(FormsTest, ViaNamesTheVersionReceivedAndIsAppended) {
  from_.fields.add("via", "1.0 fred");
  EXPECT_EQ(forwarded(), "via: 1.0 fred\nvia: 2 tulle\n");
  from_.version = Version::http11;
  EXPECT_EQ(forwarded(), "via: 1.0 fred\nvia: 1.1 tulle\n");
  from_.version = Version::http10;
  EXPECT_EQ(forwarded(), "via: 1.0 fred\nvia: 1.0 tulle\n");
}

TEST_F(FormsTest, MeshFieldsOfStrangersAreStrippedInAnySpelling) {
  for (const char* name : {"tulle-error", "tulle_error", "tulle-retried", "tulle_retried",
                           "tulle-anything", "tulle_any_thing", "x-forwarded-client-cert",
                           "x_forwarded_client_cert", "x-forwarded_client-cert"}) {
    from_.fields.add(name, "forged");
  }
  from_.fields.add("tullex", "kept");
  from_.fields.add("x-forwarded-client-certs", "kept");
  EXPECT_EQ(forwarded(), "tullex: kept\nx-forwarded-client-certs: kept\nvia: 2 tulle\n");
}

TEST_F(FormsTest, MeshPeersMaySayTulleButNotWhoTheirClientIs) {
  context_.peer_is_mesh = true;
  from_.fields.add("tulle-retried", "1");
  from_.fields.add("x-forwarded-client-cert", "forged");
  EXPECT_EQ(forwarded(), "tulle-retried: 1\nvia: 2 tulle\n");
}

TEST_F(FormsTest, OnlyTrailersOfTeGoesOn) {
  from_.fields.add("te", "gzip;q=0.5, Trailers ; q=1");
  EXPECT_EQ(forwarded(), "te: trailers\nvia: 2 tulle\n");
  from_.fields.clear();
  from_.fields.add("te", "gzip, trailersx");
  EXPECT_EQ(forwarded(), "via: 2 tulle\n");
}

TEST_F(FormsTest, CredentialsForTheProxyEndHere) {
  from_.fields.add("proxy-authorization", "Basic c2VjcmV0");
  from_.fields.add("authorization", "Basic b3RoZXI=");
  EXPECT_EQ(forwarded(), "authorization: Basic b3RoZXI=\nvia: 2 tulle\n");
}

TEST_F(FormsTest, ClientAddressIsAppendedOnlyWhenKnown) {
  from_.fields.add("x-forwarded-for", "1.1.1.1");
  from_.fields.add("x-forwarded-for", "2.2.2.2, 3.3.3.3");
  EXPECT_EQ(forwarded(),
            "x-forwarded-for: 1.1.1.1\nx-forwarded-for: 2.2.2.2, 3.3.3.3\nvia: 2 tulle\n");
  context_.client_ip = "10.0.0.7";
  EXPECT_EQ(forwarded(),
            "via: 2 tulle\nx-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.7\n"
            "x-forwarded-proto: https\n");
}

TEST_F(FormsTest, ForwardedProtoOfTheFirstProxyStays) {
  context_.client_ip = "::1";
  from_.fields.add("x-forwarded-proto", "http");
  EXPECT_EQ(forwarded(), "x-forwarded-proto: http\nvia: 2 tulle\nx-forwarded-for: ::1\n");
}

TEST_F(FormsTest, Response) {
  Head from;
  from.status = 200;
  from.version = Version::http11;
  from.content_length = 3;
  from.fields.add("tulle-error", "no_route");  // the next hop says why; that is for the caller
  from.fields.add("x-forwarded-client-cert", "echoed");
  from.fields.add("server", "s");
  Head to;
  context_.peer_is_mesh = true;
  forward_response(from, to, context_);
  EXPECT_EQ(to.status, 200);
  EXPECT_EQ(to.content_length, 3u);
  EXPECT_EQ(text_of(to.fields), "tulle-error: no_route\nserver: s\nvia: 1.1 tulle\n");
  // An application may pass on what it was answered; it does not speak for its sidecar.
  Head from_application;
  context_.peer_is_mesh = false;
  forward_response(from, from_application, context_);
  EXPECT_EQ(text_of(from_application.fields), "server: s\nvia: 1.1 tulle\n");
}

TEST_F(FormsTest, TrailersCannotBringWhatHeadsMayNot) {
  Fields from;
  for (const char* name :
       {"authorization", "cookie", "host", "content-type", "content-length", "transfer-encoding",
        "x-forwarded-for", "x-forwarded-client-cert", "x_forwarded_client_cert", "tulle-error",
        "tulle_retried", "te", "via"}) {
    from.add(name, "forged");
  }
  from.add("grpc-status", "0");
  from.add("x-checksum", "abc");
  Fields to;
  forward_trailers(from, to);
  EXPECT_EQ(text_of(to), "grpc-status: 0\nx-checksum: abc\n");
}

}  // namespace
}  // namespace tulle
