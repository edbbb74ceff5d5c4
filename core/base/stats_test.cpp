#include "core/base/stats.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace tulle {
namespace {

TEST(Stats, TheSameSeriesGivesTheSameId) {
  StatRegistry registry;
  const StatId a = registry.counter("tulle_x_total", "X.", {{"b", "2"}, {"a", "1"}});
  EXPECT_EQ(registry.counter("tulle_x_total", "X.", {{"a", "1"}, {"b", "2"}}), a);
  EXPECT_NE(registry.counter("tulle_x_total", "X.", {{"a", "1"}}), a);
  EXPECT_NE(registry.counter("tulle_y_total", "Y.", {{"a", "1"}, {"b", "2"}}), a);
}

TEST(Stats, SumsShardsAndKeepsWhatDetachedOnesCounted) {
  StatRegistry registry;
  const StatId id = registry.gauge("tulle_active", "Active.", {});
  StatShard a;
  registry.attach(a);
  a.add(id, 5);
  {
    StatShard b;
    registry.attach(b);
    b.add(id, -2);
    EXPECT_EQ(registry.read(id), 3);
    registry.detach(b);
  }
  EXPECT_EQ(registry.read(id), 3);
}

TEST(Stats, PrometheusText) {
  StatRegistry registry;
  StatShard shard;
  registry.attach(shard);
  const StatId z = registry.gauge("tulle_z", "Last \\ in\norder.", {});
  const StatId a = registry.counter("tulle_a_total", "First.",
                                    {{"path", "a\\b\"c\nd"}, {"code", "200"}});
  const StatId b = registry.counter("tulle_a_total", "First.", {});
  shard.add(z, -7);
  shard.add(a);
  shard.add(a, 2);
  shard.add(b, 9);
  EXPECT_EQ(registry.prometheus_text(),
            "# HELP tulle_a_total First.\n"
            "# TYPE tulle_a_total counter\n"
            "tulle_a_total{code=\"200\",path=\"a\\\\b\\\"c\\nd\"} 3\n"
            "tulle_a_total 9\n"
            "# HELP tulle_z Last \\\\ in\\norder.\n"
            "# TYPE tulle_z gauge\n"
            "tulle_z -7\n");
}

TEST(Stats, HistogramsAreCumulative) {
  StatRegistry registry;
  StatShard shard;
  registry.attach(shard);
  const StatId id = registry.duration_histogram("tulle_seconds", "T.", {{"route", "r"}});
  shard.observe(id, 5ms);       // on the bound: counts as below
  shard.observe(id, 5000001ns);
  shard.observe(id, 300ms);
  shard.observe(id, 11s);
  const std::string text = registry.prometheus_text();
  EXPECT_NE(text.find("# TYPE tulle_seconds histogram\n"), std::string::npos);
  for (const char* line : {
           "tulle_seconds_bucket{route=\"r\",le=\"0.005\"} 1\n",
           "tulle_seconds_bucket{route=\"r\",le=\"0.01\"} 2\n",
           "tulle_seconds_bucket{route=\"r\",le=\"0.25\"} 2\n",
           "tulle_seconds_bucket{route=\"r\",le=\"0.5\"} 3\n",
           "tulle_seconds_bucket{route=\"r\",le=\"10\"} 3\n",
           "tulle_seconds_bucket{route=\"r\",le=\"+Inf\"} 4\n",
           "tulle_seconds_sum{route=\"r\"} 11.310000001\n",
           "tulle_seconds_count{route=\"r\"} 4\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

TEST(Stats, HistogramsMayStraddleBlocks) {
  StatRegistry registry;
  StatShard shard;
  registry.attach(shard);
  for (int i = 0; i < 1020; ++i) registry.counter("c", "C.", {{"i", std::to_string(i)}});
  const StatId id = registry.duration_histogram("h", "H.", {});
  for (int i = 0; i < 3; ++i) shard.observe(id, 20s);
  EXPECT_NE(registry.prometheus_text().find("h_count 3\n"), std::string::npos);
}

TEST(Stats, SeriesPastTheLimitShareOneAndSaySo) {
  constexpr StatId limit = 3000;
  StatRegistry registry(limit);
  StatShard shard;
  registry.attach(shard);
  StatId last = 0;
  for (size_t i = 0; i < limit; ++i) {
    last = registry.counter("c", "C.", {{"i", std::to_string(i)}});
  }
  EXPECT_EQ(last, limit - 1);
  EXPECT_EQ(shard.read(last), 0);
  const StatId over = registry.counter("c", "C.", {{"i", "one more"}});
  EXPECT_EQ(registry.counter("d", "D.", {}), over);
  shard.add(over, 3);
  shard.observe(registry.duration_histogram("h", "H.", {}), 1s);
  const std::string text = registry.prometheus_text();
  EXPECT_TRUE(text.ends_with("tulle_stats_overflow 4\n"));
  EXPECT_EQ(registry.counter("c", "C.", {{"i", "7"}}), 7u);
}

TEST(Stats, ScrapingWhileWorkersCountAndGrow) {
  StatRegistry registry;
  constexpr int kThreads = 3, kRounds = 20'000;
  std::vector<StatId> ids;
  for (int i = 0; i < 5000; ++i) {
    ids.push_back(registry.counter("c", "C.", {{"i", std::to_string(i)}}));
  }
  const StatId histogram = registry.duration_histogram("h", "H.", {});
  std::vector<std::unique_ptr<StatShard>> shards;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    shards.push_back(std::make_unique<StatShard>());
    registry.attach(*shards.back());
    threads.emplace_back([&, shard = shards.back().get()] {
      for (int i = 0; i < kRounds; ++i) {
        shard->add(ids[static_cast<size_t>(i) % ids.size()]);
        shard->observe(histogram, 1ms);
      }
    });
  }
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(registry.prometheus_text().empty());
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(registry.read(ids[0]), kThreads * kRounds / 5000);
  EXPECT_NE(registry.prometheus_text().find("h_bucket{le=\"0.005\"} 60000\n"), std::string::npos);
}

}  // namespace
}  // namespace tulle
