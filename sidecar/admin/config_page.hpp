// render_config: the configuration in force as JSON, for /config. Names certificates, never keys.
#pragma once

#include <string>

#include "sidecar/config/bootstrap.hpp"
#include "sidecar/config/snapshot.hpp"
#include "sidecar/source/config_source.hpp"
#include "sidecar/worker.hpp"

namespace tulle::admin {

std::string render_config(const config::Bootstrap& bootstrap, const config::Snapshot& snapshot,
                          const BoundAddresses& bound,
                          const source::ControlPlaneView* control_plane = nullptr);

}  // namespace tulle::admin
