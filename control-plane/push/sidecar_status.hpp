// What the control plane knows about a connected sidecar: for people, and for status.conditions.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/base/clock.hpp"

namespace tulle::push {

enum class Acceptance : uint8_t {
  accepted,  // the sidecar has acknowledged what is in force
  pending,   // something newer is on its way, or not answered yet
  rejected,  // it has refused it, and keeps what it had
};
const char* to_string(Acceptance acceptance);

struct TypeStatus {
  size_t names = 0;
  std::string sent_version;
  std::string accepted_version;
  Acceptance state = Acceptance::accepted;
  std::string rejection;  // its own words
};

struct SidecarStatus {
  std::string node;
  std::string namespace_name;
  std::string service;
  std::string identity;
  std::string address;
  Duration connected{};
  Acceptance state = Acceptance::accepted;   // the worst of its types
  std::map<std::string, TypeStatus> types;   // "Listener", "Cluster", ...: those it asked for
  std::string last_error;
};

// How many of the sidecars that use a document's configuration have what it says.
struct DocumentAcceptance {
  size_t sidecars = 0;
  size_t accepted = 0;
  size_t rejected = 0;
  std::string last_error;  // of one that has rejected
};

}  // namespace tulle::push
