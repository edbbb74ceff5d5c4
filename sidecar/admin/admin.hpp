// AdminPages: the sidecar's own HTTP pages on loopback. Runs on the main loop.
//
// Every page is made from AdminSource, which answers from the main thread's knowledge. Nothing here
// ever contains a private key.
#pragma once

#include <string>
#include <string_view>

#include "core/http/connection.hpp"

namespace tulle::admin {

class AdminSource {
 public:
  virtual bool ready() const = 0;
  virtual std::string_view state() const = 0;   // "starting", "ready", "draining"
  virtual std::string metrics() const = 0;      // Prometheus text
  virtual std::string config_json() const = 0;

 protected:
  ~AdminSource() = default;
};

class AdminPages final : public Service {
 public:
  AdminPages(Loop& loop, const AdminSource& source) : loop_(loop), source_(source) {}
  std::unique_ptr<Task> serve(StreamRef stream) override;

 private:
  Loop& loop_;
  const AdminSource& source_;
};

}  // namespace tulle::admin
