#include "control-plane/api/api.hpp"

#include "control-plane/api/call.hpp"
#include "control-plane/api/watch_stream.hpp"

namespace tulle::api {

Api::Api(Loop& loop, const Sources& sources, std::string_view token, StatRegistry& stats)
    : loop_(loop), sources_(sources), guard_(token), stats_(stats) {
  for (size_t i = 0; i < requests_.size(); ++i) {
    requests_[i] = stats_.counter("tulle_api_requests_total", "Requests to the API",
                                  {{"status", std::to_string(i) + "xx"}});
  }
  stats_.attach(shard_);
}

Api::~Api() { stats_.detach(shard_); }

std::unique_ptr<Task> Api::serve(StreamRef stream) {
  return std::make_unique<ApiCall>(loop_, *this, std::move(stream));
}

void Api::end_watches() {
  for (WatchStream& watch : watches_) watch.end();
}

void Api::opened(WatchStream& watch) {
  watches_.push_back(watch);
  ++watch_count_;
}

void Api::closed() { --watch_count_; }

void Api::count(int status) {
  const auto group = static_cast<size_t>(status / 100);
  if (group < requests_.size()) shard_.add(requests_[group]);
}

}  // namespace tulle::api
