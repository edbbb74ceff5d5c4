#include "cli/render/document_tables.hpp"

#include <gtest/gtest.h>

#include "cli/render/time_text.hpp"

namespace tulle::cli {
namespace {

const int64_t kNow = parse_utc("2026-11-21T12:00:00Z");

TEST(DocumentTables, ShowRoutesAsShares) {
  EXPECT_EQ(documents_table("httproutes", R"({"items": [{
      "metadata": {"name": "kitchen", "namespace": "default", "creationTimestamp": "2026-11-21T11:50:00Z"},
      "spec": {"parentRefs": [{"name": "kitchen"}], "rules": [
        {"matches": [{"path": {"type": "PathPrefix", "value": "/new"}}], "backendRefs": [{"name": "v2", "port": 80}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
         "backendRefs": [{"name": "v1", "weight": 80}, {"name": "v2", "weight": 20}]}]},
      "status": {"conditions": [{"type": "Accepted", "status": "True"},
                                {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound"}]}}]})",
                            kNow, false),
            "NAME     OF       RULES                            ACCEPTED                       AGE\n"
            "kitchen  kitchen  /new -> v2, -> 80 % v1, 20 % v2  ResolvedRefs: BackendNotFound  10m\n");
}

TEST(DocumentTables, ShowOneDocumentAndWhatIsMissing) {
  EXPECT_EQ(documents_table("services", R"({"metadata": {"name": "a", "namespace": "b"},
      "spec": {"ports": [{"name": "http", "port": 80}], "selector": {"x": "y"}}})", kNow, true),
            "NAMESPACE  NAME  PORTS    SELECTOR  AGE\n"
            "b          a     http:80  x=y       -\n");
  EXPECT_EQ(documents_table("workloads", R"({"items": [{"metadata": 7}]})", kNow, false),
            "NAME  SERVICE  ADDRESS  INBOUND  LABELS  SOURCE  AGE\n"
            "      -        -        -        -       manual  -\n");
}

TEST(DocumentTables, DoNotLetAnAnswerSteerTheTerminal) {
  EXPECT_EQ(documents_table("services", "{\"items\": [{\"metadata\": {\"name\": \"a\\u001b[2Jb\"}}]}", kNow, false),
            "NAME  PORTS  SELECTOR  AGE\n"
            "ab    -      -         -\n");
}

TEST(Time, ReadsWhatItWrites) {
  EXPECT_EQ(utc_text(WallTime{kNow * 1'000'000 + 5000}), "2026-11-21T12:00:00.005Z");
  EXPECT_EQ(parse_utc("2026-11-21T12:00:00.005Z"), kNow);
  EXPECT_EQ(parse_utc("yesterday"), 0);
}

}  // namespace
}  // namespace tulle::cli
