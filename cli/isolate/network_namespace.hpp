// NetworkNamespace: one that `ip netns` has made, held open; and connections that are made in it.
//
// A socket belongs to the namespace in which it was made, and stays there: so one loop on one thread
// can talk to programs in many of them, by stepping in for each new socket.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "core/base/result.hpp"
#include "core/net/network.hpp"

namespace tulle::cli {

class NetworkNamespace {
 public:
  // Errors: there is none of that name; or we may not enter it.
  static Result<NetworkNamespace> open(const std::string& name);
  ~NetworkNamespace();
  NetworkNamespace(NetworkNamespace&& from) noexcept
      : name_(std::move(from.name_)), descriptor_(std::exchange(from.descriptor_, -1)) {}
  NetworkNamespace& operator=(NetworkNamespace&&) = delete;

  const std::string& name() const { return name_; }
  Result<void> enter() const;  // this thread, for good

  // This thread is inside as long as this lives.
  class Visit {
   public:
    explicit Visit(const NetworkNamespace& place);
    ~Visit();
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    int before_;
  };

 private:
  NetworkNamespace(std::string name, int descriptor)
      : name_(std::move(name)), descriptor_(descriptor) {}
  std::string name_;
  int descriptor_;
};

inline constexpr const char* kNamespaceDirectory = "/run/netns";

// Connections and listeners of `inside`, made in `place`, which must outlive it.
std::unique_ptr<Network> network_in(const NetworkNamespace& place, std::unique_ptr<Network> inside);

}  // namespace tulle::cli
