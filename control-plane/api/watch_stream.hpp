// WatchStream: the changes of one kind as newline-delimited JSON, for as long as the client reads.
//
// First everything there is as ADDED, then a BOOKMARK, then what changes. It compares the view it
// has sent with the present one whenever there is room: a slow client skips versions, and costs no
// queue. Owned by its ApiCall.
#pragma once

#include <deque>
#include <string>

#include "control-plane/api/api.hpp"

namespace tulle::api {

class WatchStream final : public ListNode<OpenWatchTag> {
 public:
  WatchStream(Api& api, Task& owner, Stream& stream, const Target& target);
  ~WatchStream();

  // True: it is over.
  bool proceed();
  void end();  // finish after what is under way

 private:
  void compare();
  void add_event(const char* type, const model::Document& document);
  bool concerns(const model::Document& document) const;

  Api& api_;
  Task& owner_;
  Stream& stream_;
  const model::Kind kind_;
  const std::string namespace_name_;  // empty: all
  std::unique_ptr<store::Watch> watch_;
  model::StoreView sent_;             // what the events so far amount to
  std::vector<model::Difference> events_;
  size_t next_event_ = 0;
  std::string text_;                  // of the present event
  size_t text_sent_ = 0;
  bool bookmark_due_ = true;
  bool ending_ = false;
};

}  // namespace tulle::api
