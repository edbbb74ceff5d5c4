// Api: the HTTP interface to the store, for people and programs. A Service; one Task per request.
//
// Owns nothing that lasts but the guard, the list of open watches and its statistics. A request
// reads: guard, endpoint, body, operation, perhaps a write that it waits for, answer. Every write
// that is tried leaves an audit line. Loop thread only; must outlive every stream that was served.
#pragma once

#include <memory>
#include <string>

#include "control-plane/api/endpoints.hpp"
#include "control-plane/api/guard.hpp"
#include "control-plane/api/sources.hpp"
#include "control-plane/store/store.hpp"
#include "control-plane/validate/validate.hpp"
#include "core/base/list.hpp"
#include "core/base/stats.hpp"
#include "core/http/connection.hpp"

namespace tulle::api {

struct OpenWatchTag {};
class WatchStream;

// What operations work with. Null: that part is not there.
struct Sources {
  store::Store* store = nullptr;  // never null
  Authority* authority = nullptr;
  const Acknowledgements* acknowledgements = nullptr;
  const validate::ResultCheck* result_check = nullptr;
};

// The finished request of an operation.
struct Request {
  Target target;
  std::string body;
  BodyFormat format = BodyFormat::json;
  std::string if_match, if_none_match;
};

// An answer, at once or when the write is done.
struct Step {
  Answer answer;                 // when there is no write, or it succeeded
  store::WriteRef write;         // null: answer at once
  bool show_document = false;    // the answer's body is what was stored
};

Step perform(const Sources& sources, const Request& request, Task& owner);

class Api final : public Service {
 public:
  Api(Loop& loop, const Sources& sources, std::string_view token, StatRegistry& stats);
  ~Api() override;

  std::unique_ptr<Task> serve(StreamRef stream) override;
  // Ends every watch, so that the server can drain.
  void end_watches();

  // For requests.
  const Sources& sources() const { return sources_; }
  Guard& guard() { return guard_; }
  bool may_watch() const { return watch_count_ < kMostWatches; }
  void opened(WatchStream& watch);
  void closed();
  void count(int status);
  StatShard& shard() { return shard_; }

 private:
  // Each costs a comparison of views per change.
  static constexpr size_t kMostWatches = 100;

  Loop& loop_;
  const Sources sources_;
  Guard guard_;
  StatRegistry& stats_;
  StatShard shard_;
  std::array<StatId, 6> requests_;  // by class of status
  List<WatchStream, OpenWatchTag> watches_;
  size_t watch_count_ = 0;
};

}  // namespace tulle::api
