// FileSource: the bootstrap file's own resources are the whole configuration.
#pragma once

#include <memory>

#include "sidecar/port_claims.hpp"
#include "sidecar/source/config_source.hpp"

namespace tulle::source {

class FileSource final : public ConfigSource {
 public:
  // Claims the ports of all listeners.
  static Result<std::unique_ptr<ConfigSource>> open(const config::Loaded& loaded);

  const std::shared_ptr<const config::Snapshot>& snapshot() const override { return snapshot_; }
  const BoundAddresses& bound() const override { return ports_.bound(); }
  bool complete() const override { return true; }
  Result<bool> reload(const config::Loaded& loaded) override;

 private:
  std::shared_ptr<const config::Snapshot> snapshot_;
  PortClaims ports_;
};

}  // namespace tulle::source
