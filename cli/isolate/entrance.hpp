// Entrance: how a program gets into an instance's namespaces: `tulle enter ... -- PROGRAM`.
//
// The process enters the network namespace, takes a mount namespace of its own (so that /etc/hosts
// and the sidecar's folder mean something else in it) and a host name, becomes the user, and turns
// into the program. Its number stays, so whoever started it supervises the program itself.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace tulle::cli {

struct Entrance {
  std::string network_namespace;  // one that `ip netns` knows
  std::string hosts;              // the file that is /etc/hosts; empty: as outside
  std::string resolver;           // ... /etc/resolv.conf
  std::string host_name;          // empty: as outside
  std::string private_directory;  // what is kSidecarDirectory; empty: as outside
  std::string user;               // name or number; empty: as we are
};

std::vector<std::string> command_to_enter(const std::string& self, const Entrance& entrance,
                                          std::vector<std::string> command);

// Returns only when it has failed.
Error enter(const Entrance& entrance, const std::vector<std::string>& command);

// "postgres", "1000"; the detail of the error says what is wrong with it.
struct User {
  uint32_t id = 0;
  uint32_t group = 0;
  std::string name;  // empty: the number has no name
  std::string home;
};
Result<User> find_user(const std::string& text);

}  // namespace tulle::cli
