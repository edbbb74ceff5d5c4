// MetricsPages: /metrics and /ready, for those who watch over the control plane. Without a token:
// it says nothing about what is in the mesh.
#pragma once

#include "core/base/stats.hpp"
#include "core/http/connection.hpp"

namespace tulle::api {

class ReadySource {
 public:
  virtual bool ready() const = 0;
  virtual std::string_view state() const = 0;  // "ready", "draining", "store failing"

 protected:
  ~ReadySource() = default;
};

class MetricsPages final : public Service {
 public:
  MetricsPages(Loop& loop, const StatRegistry& stats, const ReadySource& source)
      : loop_(loop), stats_(stats), source_(source) {}
  std::unique_ptr<Task> serve(StreamRef stream) override;

 private:
  Loop& loop_;
  const StatRegistry& stats_;
  const ReadySource& source_;
};

}  // namespace tulle::api
