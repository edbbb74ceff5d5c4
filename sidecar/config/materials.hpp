// Materials: the contents of every file the configuration mentions, and the workload's identity.
//
// compile() is pure, so somebody has to read the files first: files_of() says which, and
// read_materials() reads and checks them. The only I/O of the configuration besides the bootstrap.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/config/bootstrap.hpp"
#include "sidecar/config/problem.hpp"
#include "xds/resource_set.hpp"

namespace tulle::config {

// The workload's own identity as PEM text: what the secret names "default" (certificate and key)
// and "ROOTCA" (trust bundle) stand for.
struct Identity {
  std::string certificate_pem;
  std::string key_pem;
  std::string trust_pem;
  std::string trust_domain;
  std::string origin;  // for messages: the paths
};

struct Materials {
  std::optional<Identity> identity;
  std::map<std::string, std::string, std::less<>> files;  // path -> contents
  // False: something could not be read, which has been reported; compile() adds nothing to it.
  bool complete = true;
};

struct FileUse {
  std::string path;
  Place place;  // the field that mentions it; reports into the list given to files_of()
};

// Every DataSource.filename in the resources, inside Any too.
std::vector<FileUse> files_of(const xds::ResourceSet& resources, Problems& problems);

// Reads the identity's files and all of files_of(). Missing and unreadable files, certificates that
// are expired, not yet valid or do not match their key: each is a problem with its place.
Materials read_materials(const std::optional<IdentityFiles>& identity,
                         const xds::ResourceSet& resources, Problems& problems);

// The paths that a file watch should follow: the identity's and the resources'.
std::vector<std::string> watched_paths(const Bootstrap& bootstrap);

}  // namespace tulle::config
