#include "sidecar/source/file_source.hpp"

namespace tulle::source {

Result<std::unique_ptr<ConfigSource>> FileSource::open(const config::Loaded& loaded) {
  auto source = std::make_unique<FileSource>();
  Result<void> claimed = source->ports_.claim_all(*loaded.snapshot);
  if (!claimed) return claimed.error();
  source->snapshot_ = loaded.snapshot;
  return std::unique_ptr<ConfigSource>(std::move(source));
}

Result<bool> FileSource::reload(const config::Loaded& loaded) {
  Result<void> claimed = ports_.claim_all(*loaded.snapshot);
  if (!claimed) return claimed.error();
  // Not the version: it leaves out endpoints and certificates, which must be taken over as well.
  const bool same = loaded.snapshot->listeners == snapshot_->listeners &&
                    loaded.snapshot->clusters == snapshot_->clusters &&
                    loaded.snapshot->destinations == snapshot_->destinations;
  if (!same) snapshot_ = loaded.snapshot;
  return !same;
}

}  // namespace tulle::source
