// LastGood: what a control plane pushed last and was accepted, kept on disk, so that a sidecar that
// restarts serves the destinations used before while the control plane is away.
//
// One file: header with version, checksum, records. It is believed whole or not at all: a file that
// is damaged, of another version or of another workload is an Error and nothing else. Secrets may be
// among the resources, so the file is for its owner alone. Pure but for the two file functions.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/net/address.hpp"
#include "xds/resource_set.hpp"

namespace tulle::config {

struct LastGood {
  xds::ResourceSet resources;
  std::set<std::string> destinations;        // asked for by name
  std::set<std::string> unknown;             // of these, answered not to exist
  std::map<std::string, Address> addresses;  // what port 0 became: "outbound", "inbound|8080"
};

// `owner`: whose state it is; the same text must be given to read it.
std::string encode(const LastGood& state, std::string_view owner);
Result<LastGood> decode_last_good(std::string_view bytes, std::string_view owner);

inline constexpr std::string_view kLastGoodFile = "last-good";  // in state_dir

Result<void> save_last_good(const std::string& directory, const LastGood& state,
                            std::string_view owner);
// Nothing there: an empty optional.
Result<std::optional<LastGood>> load_last_good(const std::string& directory,
                                               std::string_view owner);

}  // namespace tulle::config
