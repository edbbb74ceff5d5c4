#include "control-plane/api/watch_stream.hpp"

#include "control-plane/model/read.hpp"
#include "core/http/stream.hpp"
#include "core/net/task.hpp"

namespace tulle::api {

namespace {

std::string namespace_of(const Target& target) {
  const auto found = target.query.find("namespace");
  return found == target.query.end() ? std::string() : found->second;
}

}  // namespace

WatchStream::WatchStream(Api& api, Task& owner, Stream& stream, const Target& target)
    : api_(api),
      owner_(owner),
      stream_(stream),
      kind_(target.kind),
      namespace_name_(namespace_of(target)),
      watch_(api.sources().store->watch(owner)) {
  api_.opened(*this);
  Head& head = stream_.draft();
  head.clear();
  head.status = 200;
  head.fields.add(FieldId::content_type, "application/x-ndjson");
  head.fields.add("cache-control", "no-store");
  stream_.send_head();
}

WatchStream::~WatchStream() { api_.closed(); }

void WatchStream::end() {
  ending_ = true;
  owner_.wake();
}

bool WatchStream::concerns(const model::Document& document) const {
  return namespace_name_.empty() || document.metadata.namespace_name == namespace_name_;
}

// The next differences, when all of the former have been sent.
void WatchStream::compare() {
  const model::StoreView& now = api_.sources().store->view();
  events_ = differences(sent_, now, kind_);
  next_event_ = 0;
  sent_ = now;
}

void WatchStream::add_event(const char* type, const model::Document& document) {
  text_ = std::string("{\"type\":\"") + type + "\",\"object\":" + model::to_json(document) + "}\n";
  text_sent_ = 0;
}

bool WatchStream::proceed() {
  while (true) {
    while (text_sent_ < text_.size()) {
      const size_t room = stream_.room();
      if (room == 0) return false;
      const std::string_view part = std::string_view(text_).substr(text_sent_, room);
      stream_.send(Bytes(part));
      text_sent_ += part.size();
    }
    if (ending_) {
      stream_.finish();
      return true;
    }
    if (next_event_ < events_.size()) {
      const model::Difference& event = events_[next_event_++];
      if (!concerns(event.after != nullptr ? *event.after : *event.before)) continue;
      if (event.after == nullptr) {
        add_event("DELETED", *event.before);
      } else {
        add_event(event.before == nullptr ? "ADDED" : "MODIFIED", *event.after);
      }
      continue;
    }
    const bool moved = api_.sources().store->view().revision() != sent_.revision();
    if (moved) {
      compare();
    } else if (bookmark_due_) {
      bookmark_due_ = false;
      text_ = "{\"type\":\"BOOKMARK\",\"resourceVersion\":\"" +
              std::to_string(sent_.revision()) + "\"}\n";
      text_sent_ = 0;
    } else {
      events_.clear();
      return false;
    }
  }
}

}  // namespace tulle::api
