#include "core/base/stats.hpp"

#include <algorithm>
#include <cstdio>

#include "core/base/assert.hpp"

namespace tulle {

namespace {

constexpr StatId kHistogramIds = kDurationBounds.size() + 2;  // buckets, sum, count
constexpr StatId kSumOffset = kDurationBounds.size();
constexpr StatId kCountOffset = kDurationBounds.size() + 1;

// `le` values as Prometheus writes them. Kept beside the bounds, so that rendering formats nothing.
constexpr std::array<std::string_view, kDurationBounds.size()> kBoundNames = {
    "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25",
    "0.5",   "0.75", "1",     "2.5",  "5",     "7.5", "10"};

constexpr std::array<int64_t, kDurationBounds.size()> kBoundsNs = [] {
  std::array<int64_t, kDurationBounds.size()> ns{};
  for (size_t i = 0; i < ns.size(); ++i) {
    ns[i] = static_cast<int64_t>(kDurationBounds[i] * 1e9 + 0.5);
  }
  return ns;
}();

void append_escaped(std::string_view text, bool quotes, std::string& out) {
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

std::string render_labels(Labels& labels) {
  std::sort(labels.begin(), labels.end());
  std::string out;
  for (const auto& [name, value] : labels) {
    if (!out.empty()) out += ',';
    out += name;
    out += "=\"";
    append_escaped(value, true, out);
    out += '"';
  }
  return out;
}

// Exact, where a double would drop digits of a large sum.
std::string seconds(int64_t ns) {
  char text[32];
  std::snprintf(text, sizeof(text), "%lld.%09lld", static_cast<long long>(ns / 1'000'000'000),
                static_cast<long long>(ns % 1'000'000'000));
  return text;
}

void append_line(std::string_view name, std::string_view suffix, std::string_view labels,
                 std::string_view value, std::string& out) {
  out += name;
  out += suffix;
  if (!labels.empty()) {
    out += '{';
    out += labels;
    out += '}';
  }
  out += ' ';
  out += value;
  out += '\n';
}

std::string_view name_of(StatKind kind) {
  switch (kind) {
    case StatKind::counter: return "counter";
    case StatKind::gauge: return "gauge";
    case StatKind::histogram: return "histogram";
  }
  UNREACHABLE();
}

}  // namespace

// ---- StatShard -----------------------------------------------------------------------------

StatShard::StatShard() = default;

StatShard::~StatShard() {
  for (auto& block : blocks_) delete block.load(std::memory_order_relaxed);
}

// Once per block and shard. Release, so that a reader who sees the block sees zeros in it.
StatShard::Block* StatShard::grow(size_t index) {
  auto* block = new Block{};
  blocks_[index].store(block, std::memory_order_release);
  return block;
}

void StatShard::observe(StatId histogram, Duration value) {
  size_t bucket = 0;
  while (bucket < kBoundsNs.size() && value.count() > kBoundsNs[bucket]) ++bucket;
  // Above the last bound only the count grows: it is the +Inf bucket.
  if (bucket < kBoundsNs.size()) add(histogram + static_cast<StatId>(bucket));
  add(histogram + kSumOffset, value.count());
  add(histogram + kCountOffset);
}

int64_t StatShard::read(StatId id) const {
  const Block* block = blocks_[id / kBlock].load(std::memory_order_acquire);
  return block == nullptr ? 0 : (*block)[id % kBlock].load(std::memory_order_relaxed);
}

// ---- StatRegistry --------------------------------------------------------------------------

// The last ids are shared by every series past the limit. Counters and gauges use the cell that is
// a histogram's count, so one cell tells how much went there.
static constexpr StatId kOverflowFirst = 1024 * 1024 - kHistogramIds;
static constexpr StatId kOverflow = kOverflowFirst + kCountOffset;

StatId StatRegistry::counter(std::string_view family, std::string_view help, Labels labels) {
  return intern(StatKind::counter, family, help, std::move(labels));
}

StatId StatRegistry::gauge(std::string_view family, std::string_view help, Labels labels) {
  return intern(StatKind::gauge, family, help, std::move(labels));
}

StatId StatRegistry::duration_histogram(std::string_view family, std::string_view help,
                                        Labels labels) {
  return intern(StatKind::histogram, family, help, std::move(labels));
}

StatId StatRegistry::intern(StatKind kind, std::string_view family, std::string_view help,
                            Labels labels) {
  static_assert(kOverflowFirst + kHistogramIds == StatShard::kBlock * StatShard::kBlocks);
  std::string rendered = render_labels(labels);
  std::string key(family);
  key += '\0';
  key += rendered;

  const std::lock_guard lock(mutex_);
  auto place = std::lower_bound(families_.begin(), families_.end(), family,
                                [](const auto& a, std::string_view b) { return a.first < b; });
  const bool known = place != families_.end() && place->first == family;
  ASSERT(!known || place->second.kind == kind);
  if (auto found = by_name_.find(key); found != by_name_.end()) return found->second;

  const StatId width = kind == StatKind::histogram ? kHistogramIds : 1;
  if (next_ + width > std::min(max_ids_, kOverflowFirst)) {
    overflowed_ = true;
    return kind == StatKind::histogram ? kOverflowFirst : kOverflow;
  }
  if (!known) {
    place = families_.emplace(place, std::string(family), Family{kind, std::string(help), {}});
  }
  const StatId first = next_;
  next_ += width;
  place->second.series.push_back({kind, first, std::move(rendered)});
  by_name_.emplace(std::move(key), first);
  return first;
}

void StatRegistry::attach(const StatShard& shard) {
  const std::lock_guard lock(mutex_);
  shards_.push_back(&shard);
}

void StatRegistry::detach(const StatShard& shard) {
  const std::lock_guard lock(mutex_);
  if (std::erase(shards_, &shard) == 0) return;
  for (size_t b = 0; b < StatShard::kBlocks; ++b) {
    if (shard.blocks_[b].load(std::memory_order_acquire) == nullptr) continue;
    for (size_t i = 0; i < StatShard::kBlock; ++i) {
      const auto id = static_cast<StatId>(b * StatShard::kBlock + i);
      if (const int64_t value = shard.read(id); value != 0) retired_.add(id, value);
    }
  }
}

int64_t StatRegistry::sum(StatId id) const {
  int64_t total = retired_.read(id);
  for (const StatShard* shard : shards_) total += shard->read(id);
  return total;
}

int64_t StatRegistry::read(StatId id) const {
  const std::lock_guard lock(mutex_);
  return sum(id);
}

// Writers go on meanwhile. Buckets are read before the count, and the +Inf bucket is never below
// the last one, so that a scrape in the middle of an observation still adds up.
void StatRegistry::render_histogram(const std::string& name, const Series& series,
                                    std::string& out) const {
  const std::string lead = series.labels.empty() ? "" : series.labels + ",";
  int64_t below = 0;
  for (size_t i = 0; i < kBoundNames.size(); ++i) {
    below += sum(series.first + static_cast<StatId>(i));
    append_line(name, "_bucket", lead + "le=\"" + std::string(kBoundNames[i]) + "\"",
                std::to_string(below), out);
  }
  const int64_t count = std::max(sum(series.first + kCountOffset), below);
  append_line(name, "_bucket", lead + "le=\"+Inf\"", std::to_string(count), out);
  append_line(name, "_sum", series.labels, seconds(sum(series.first + kSumOffset)), out);
  append_line(name, "_count", series.labels, std::to_string(count), out);
}

void StatRegistry::render(const std::string& name, const Family& family, std::string& out) const {
  out += "# HELP " + name + ' ';
  append_escaped(family.help, false, out);
  out += "\n# TYPE " + name + ' ';
  out += name_of(family.kind);
  out += '\n';
  for (const Series& series : family.series) {
    if (series.kind == StatKind::histogram) {
      render_histogram(name, series, out);
    } else {
      append_line(name, "", series.labels, std::to_string(sum(series.first)), out);
    }
  }
}

std::string StatRegistry::prometheus_text() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, family] : families_) render(name, family, out);
  if (overflowed_) {
    out += "# HELP tulle_stats_overflow Events of series past the limit of series.\n"
           "# TYPE tulle_stats_overflow counter\n";
    append_line("tulle_stats_overflow", "", "", std::to_string(sum(kOverflow)), out);
  }
  return out;
}

}  // namespace tulle
