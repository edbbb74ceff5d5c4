#include "control-plane/store/store.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "control-plane/store/engine.hpp"
#include "core/net/test_loop.hpp"

namespace tulle::store {
namespace {

class Waiter final : public Task {
 public:
  using Task::Task;
  int wakes = 0;

 private:
  void run() override { ++wakes; }
};

Document service(const std::string& name, uint16_t port = 80) {
  Document document;
  document.metadata.name = name;
  document.spec = model::ServiceSpec{{{"", port, model::AppProtocol::unspecified}}, std::nullopt};
  return document;
}

const AuditEntry kAdmin{"admin", "put", "x", ""};

// An engine whose commits wait for the test, and fail when it says so.
class ScriptedEngine final : public Engine {
 public:
  Result<Contents> load() override { return Contents{}; }
  Result<std::vector<std::optional<Record>>> commit(const std::vector<Operation>& batch) override {
    batches.push_back(batch.size());
    if (fail) return Error{Code::io_error, Origin::local, "disk full"};
    return std::vector<std::optional<Record>>(batch.size());
  }
  Result<std::vector<std::string>> audit_lines(size_t) override {
    return std::vector<std::string>{};
  }
  bool waits() const override { return false; }
  std::vector<size_t> batches;
  bool fail = false;
};

class ScriptedStore : public ::testing::Test {
 protected:
  ScriptedStore() {
    auto made = std::make_unique<ScriptedEngine>();
    engine = made.get();
    store = std::move(*make_store(test.loop, std::move(made)));
  }
  TestLoop test;
  ScriptedEngine* engine = nullptr;
  std::unique_ptr<Store> store;
  Waiter waiter{test.loop};
};

TEST_F(ScriptedStore, ViewsMoveWhenItIsDurableAndTipsAtOnce) {
  const auto watch = store->watch(waiter);
  const WriteRef write = store->put(service("a"), kAdmin, &waiter);
  EXPECT_FALSE(write->done());
  EXPECT_EQ(store->view().revision(), 0u);
  EXPECT_EQ(store->tip().revision(), 1u);
  ASSERT_TRUE(test.run_until([&] { return write->done(); }));
  EXPECT_EQ(*write->outcome(), 1u);
  EXPECT_EQ(write->document()->metadata.generation, 1u);
  EXPECT_EQ(write->document()->metadata.resource_version, 1u);
  EXPECT_EQ(store->view().find(model::Kind::service, "default", "a"), write->document());
  EXPECT_GE(waiter.wakes, 1);
}

TEST_F(ScriptedStore, WritesThatComeTogetherAreOneCommit) {
  std::vector<WriteRef> writes;
  for (int i = 0; i < 50; ++i) {
    writes.push_back(store->put(service("s" + std::to_string(i)), kAdmin, nullptr));
  }
  ASSERT_TRUE(test.run_until([&] { return writes.back()->done(); }));
  EXPECT_EQ(engine->batches, std::vector<size_t>{50});
  EXPECT_EQ(store->view().all(model::Kind::service).size(), 50u);
}

TEST_F(ScriptedStore, AFailureTakesEverythingBehindItAlong) {
  WriteRef good = store->put(service("good"), kAdmin, nullptr);
  ASSERT_TRUE(test.run_until([&] { return good->done(); }));
  engine->fail = true;
  const WriteRef bad = store->put(service("good", 81), kAdmin, &waiter);
  store->remove({model::Kind::service, "default", "good"}, kAdmin, nullptr);
  EXPECT_EQ(store->tip().find(model::Kind::service, "default", "good"), nullptr);
  ASSERT_TRUE(test.run_until([&] { return bad->done(); }));
  ASSERT_FALSE(bad->outcome().has_value());
  EXPECT_EQ(bad->outcome().error().code, Code::io_error);
  EXPECT_FALSE(store->healthy());
  EXPECT_EQ(store->tip().revision(), 1u);
  EXPECT_EQ(store->tip().find(model::Kind::service, "default", "good")->service().ports[0].port, 80);
  engine->fail = false;
  const WriteRef again = store->put(service("good", 82), kAdmin, nullptr);
  ASSERT_TRUE(test.run_until([&] { return again->done(); }));
  EXPECT_EQ(*again->outcome(), 2u);
  EXPECT_TRUE(store->healthy());
}

TEST_F(ScriptedStore, TooMuchUnderWayIsRefused) {
  std::vector<WriteRef> writes;
  while (writes.empty() || !writes.back()->done()) {
    writes.push_back(store->put(Record{"t", std::to_string(writes.size()), "v"}, kAdmin, nullptr));
    ASSERT_LT(writes.size(), 20000u);
  }
  EXPECT_EQ(writes.back()->outcome().error().code, Code::overloaded);
  ASSERT_TRUE(test.run_until([&] { return writes[writes.size() - 2]->done(); }));
  EXPECT_TRUE(writes[writes.size() - 2]->outcome().has_value());
}

TEST_F(ScriptedStore, AStoreMayEndBeforeItsWrites) {
  const WriteRef write = store->put(service("a"), kAdmin, &waiter);
  store.reset();
  test.settle();
  EXPECT_FALSE(write->done());
}

class SqliteStore : public ::testing::Test {
 protected:
  SqliteStore() {
    char path[] = "/tmp/tulle-store-XXXXXX";
    directory = ::mkdtemp(path);
    open();
  }
  ~SqliteStore() override {
    store.reset();
    std::filesystem::remove_all(directory);
  }
  void open() {
    store.reset();
    Result<std::unique_ptr<Store>> opened = open_sqlite_store(test.loop, directory);
    ASSERT_TRUE(opened.has_value()) << opened.error().detail;
    store = std::move(*opened);
  }
  uint64_t finish(const WriteRef& write) {
    EXPECT_TRUE(test.run_until([&] { return write->done(); }));
    EXPECT_TRUE(write->outcome().has_value());
    return write->outcome().has_value() ? *write->outcome() : 0;
  }
  std::string refusal() {
    store.reset();
    Result<std::unique_ptr<Store>> opened = open_sqlite_store(test.loop, directory);
    return opened.has_value() ? "" : opened.error().detail;
  }
  TestLoop test;
  std::string directory;
  std::unique_ptr<Store> store;
};

TEST_F(SqliteStore, EverythingIsThereAfterReopening) {
  finish(store->put(service("a"), kAdmin, nullptr));
  finish(store->put(service("b"), kAdmin, nullptr));
  finish(store->put(service("a", 81), kAdmin, nullptr));
  finish(store->remove({model::Kind::service, "default", "b"}, kAdmin, nullptr));
  const DocumentPtr before = store->view().find(model::Kind::service, "default", "a");
  open();
  EXPECT_EQ(store->view().revision(), 4u);
  ASSERT_EQ(store->view().all(model::Kind::service).size(), 1u);
  EXPECT_EQ(*store->view().all(model::Kind::service)[0], *before);
  EXPECT_EQ(before->metadata.generation, 2u);
  EXPECT_EQ(store->audit_lines(100)->size(), 4u);
  EXPECT_NE(store->audit_lines(1)->front().find("\"actor\":\"admin\""), std::string::npos);
}

TEST_F(SqliteStore, ARecordIsTakenOnce) {
  const std::string odd = "a'); DROP TABLE records;--";
  finish(store->put(Record{"token", odd, "claims"}, {}, nullptr));
  finish(store->put(Record{"token", "old", "claims", 1}, {}, nullptr));
  const WriteRef one = store->take("token", odd, {}, nullptr);
  const WriteRef two = store->take("token", odd, {}, nullptr);
  const WriteRef old = store->take("token", "old", {}, nullptr);
  finish(old);
  ASSERT_TRUE(one->record().has_value());
  EXPECT_EQ(one->record()->value, "claims");
  EXPECT_FALSE(two->record().has_value());
  EXPECT_FALSE(old->record().has_value()) << "expired";
  EXPECT_TRUE(store->audit_lines(10)->empty()) << "nobody did it";
}

TEST_F(SqliteStore, OneProcessPerDirectory) {
  const Result<std::unique_ptr<Store>> second = open_sqlite_store(test.loop, directory);
  ASSERT_FALSE(second.has_value());
  EXPECT_NE(second.error().detail.find("held by another process"), std::string::npos);
}

TEST_F(SqliteStore, WhatIsNoDatabaseIsRefusedAndLeftAlone) {
  store.reset();
  for (const char* name : {"/tulle.db-wal", "/tulle.db-shm"}) std::filesystem::remove(directory + name);
  const std::string text(8192, 'x');
  std::ofstream(directory + "/tulle.db") << text;
  EXPECT_NE(refusal().find("Nothing was changed"), std::string::npos);
  std::ifstream file(directory + "/tulle.db");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), text);
}

TEST(StoreView, SharesWhatHasNotChangedAndTellsWhatHas) {
  const auto make = [](const std::string& space, const std::string& name) {
    Document document = service(name);
    document.metadata.namespace_name = space;
    return std::make_shared<const Document>(document);
  };
  StoreView view;
  for (const char* space : {"b", "a"}) {
    for (const char* name : {"y", "x"}) view = view.with(make(space, name), view.revision() + 1);
  }
  ASSERT_EQ(view.all(model::Kind::service, "a").size(), 2u);
  EXPECT_EQ(view.all(model::Kind::service, "a")[0]->metadata.name, "x");
  EXPECT_TRUE(view.all(model::Kind::service, "c").empty());
  const StoreView later = view.with(make("a", "x"), 5).without({model::Kind::service, "b", "x"}, 6)
                              .with(make("c", "z"), 7);
  const auto found = differences(view, later, model::Kind::service);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_TRUE(found[0].before != nullptr && found[0].after != nullptr);
  EXPECT_TRUE(found[1].before != nullptr && found[1].after == nullptr);
  EXPECT_TRUE(found[2].before == nullptr && found[2].after != nullptr);
  EXPECT_TRUE(differences(view, later, model::Kind::http_route).empty());
  EXPECT_EQ(view.all(model::Kind::workload).data(), later.all(model::Kind::workload).data());
}

}  // namespace
}  // namespace tulle::store
