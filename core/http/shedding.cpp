#include "core/http/shedding.hpp"

#include <algorithm>
#include <vector>

#include "core/base/memory_budget.hpp"
#include "core/http/roster.hpp"

namespace tulle {
namespace {

// Ending what holds less would disturb many and help little.
constexpr size_t kWorthEvicting = 4 * 1024;
constexpr size_t kWorthCutting = 16 * 1024;

// A connection that was of use so recently is likely to be used again.
constexpr Duration kIdleEnough = 1s;

// What comes back with an idle connection, about (docs/performance.md).
constexpr size_t kPlainConnection = 2 * 1024;
constexpr size_t kTlsConnection = 20 * 1024;

// What a request that is still being passed on may hold on its way to the upstream.
constexpr size_t kMostOnTheWay = 128 * 1024;

// What comes back with a stream, about. The far side of its exchange is not in sight; until there is
// an answer, what was received may still wait there.
size_t held_with(const Stream& stream) {
  const bool under_way = stream.is_server() && !stream.head_sent();
  const uint64_t passed_on = stream.bytes_received() - std::min<uint64_t>(stream.bytes_received(), stream.readable());
  return stream.held() + (under_way ? std::min<uint64_t>(passed_on, kMostOnTheWay) : 0);
}

struct Holder {
  size_t bytes;
  Connection* connection;
  Stream* stream;  // null: the whole connection
};

struct Survey {
  std::vector<Holder> holders;
  std::vector<Connection*> idle;
};

void look_at(Connection& connection, Instant now, Survey& survey) {
  size_t nobodys = connection.backlog();
  size_t streams = 0;
  const size_t first = survey.holders.size();
  if (List<Stream, LiveTag>* live = connection.live_streams()) {
    for (Stream& stream : *live) {
      ++streams;
      const size_t held = held_with(stream);
      if (!stream.has_owner()) {
        nobodys += held;
      } else if (held >= kWorthEvicting && !stream.evicted()) {
        survey.holders.push_back({held, &connection, &stream});
      }
    }
  }
  if (nobodys >= kWorthCutting) {
    for (size_t i = first; i < survey.holders.size(); ++i) nobodys += survey.holders[i].bytes;
    survey.holders.resize(first);
    survey.holders.push_back({nobodys, &connection, nullptr});
  } else if (streams == 0 && !connection.retiring() && now - connection.last_used() >= kIdleEnough) {
    survey.idle.push_back(&connection);
  }
}

void end(const Holder& holder) {
  MemoryBudget& budget = MemoryBudget::of_process();
  if (holder.stream != nullptr) {
    budget.count(Shed::exchange);
    return holder.stream->evict();
  }
  budget.count(Shed::connection);
  if (List<Stream, LiveTag>* live = holder.connection->live_streams()) {
    for (Stream& stream : *live) stream.evict();
  }
  holder.connection->cut_off({Code::overloaded, Origin::local, "memory is short"});
}

}  // namespace

size_t shed(Roster& roster, Sheds what, size_t bytes, Instant now) {
  Survey survey;
  for (Connection& connection : roster.occupied) look_at(connection, now, survey);
  for (Connection& connection : roster.opening) look_at(connection, now, survey);
  std::sort(survey.idle.begin(), survey.idle.end(), [](const Connection* a, const Connection* b) {
    return a->last_used() < b->last_used();
  });
  size_t coming = 0;
  for (Connection* connection : survey.idle) {
    if (coming >= bytes) return coming;
    MemoryBudget::of_process().count(Shed::connection);
    connection->retire();
    coming += connection->encrypted() ? kTlsConnection : kPlainConnection;
  }
  if (what == Sheds::idle) return coming;
  std::sort(survey.holders.begin(), survey.holders.end(),
            [](const Holder& a, const Holder& b) { return a.bytes > b.bytes; });
  for (const Holder& holder : survey.holders) {
    if (coming >= bytes) return coming;
    end(holder);
    coming += holder.bytes;
  }
  return coming;
}

}  // namespace tulle
