// ConfigSource: where the configuration in force comes from. Main loop only.
//
// The composition root asks it to advance() whenever it has been woken, and gives a new snapshot to
// the workers. A source never hands out anything that cannot be used: what is faulty leaves the
// former configuration in force.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sidecar/config/load.hpp"
#include "sidecar/destination_requests.hpp"
#include "sidecar/worker.hpp"

namespace tulle::source {

// For /config: what the control plane has to do with the configuration.
struct ControlPlaneView {
  struct Resource {
    std::string type, name, version;
  };
  struct Held {
    std::string type, name, why;
    bool former_in_force = false;
  };
  std::string address;
  bool connected = false;
  std::string last_failure;
  std::string identity;  // in words
  std::vector<Resource> resources;
  std::vector<Held> held;
  std::vector<std::string> rejections;   // "Cluster: ...", of the last response of each type
  std::vector<std::string> destinations; // asked for by name
  std::vector<std::string> unknown;      // of these, answered not to exist
};

class ConfigSource {
 public:
  virtual ~ConfigSource() = default;

  virtual const std::shared_ptr<const config::Snapshot>& snapshot() const = 0;  // never null
  virtual const BoundAddresses& bound() const = 0;
  // The node's own listeners are in the snapshot: traffic is welcome once the workers have it.
  virtual bool complete() const = 0;
  // Looks at what is new. True: snapshot() is another one.
  virtual bool advance() { return false; }
  // The file has changed and been read. An Error leaves everything as it was. True: as advance().
  virtual Result<bool> reload(const config::Loaded& loaded) = 0;
  // A shutdown begins: nobody should send us anything any more. The snapshot stays in force.
  virtual void leave() {}
  // Whom workers ask for destinations; null: there is nobody.
  virtual DestinationRequests* requests() { return nullptr; }
  virtual const ControlPlaneView* control_plane() { return nullptr; }
};

}  // namespace tulle::source
