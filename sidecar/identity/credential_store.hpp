// CredentialStore: the workload's credentials on disk, so that a restart can serve at once.
//
// Owns key.pem, certificate.pem, bundle.pem and key.next.pem in one folder. The next key is stored
// before it is used: whatever moment the process dies at, the certificate on disk has its key
// beside it under one of the two names, and a join token that was used up by a lost answer can be
// presented again with the same key.
#pragma once

#include <optional>
#include <string>

#include "core/base/result.hpp"

namespace tulle::identity {

struct StoredCredentials {
  std::string certificate_pem;  // leaf first
  std::string key_pem;
  std::string bundle_pem;
};

class CredentialStore {
 public:
  explicit CredentialStore(std::string folder) : folder_(std::move(folder)) {}

  // Nothing stored: an empty optional. What is there but unusable (damaged, another key, a key that
  // others can read): an error with its path.
  Result<std::optional<StoredCredentials>> load() const;
  // The key to ask with: the stored next one, or a new one that is stored first.
  Result<std::string> next_key() const;
  // Drops the next key, so that the following request is made with a new one.
  Result<void> forget_next_key() const;
  Result<void> save(const StoredCredentials& credentials) const;
  Result<void> save_bundle(const std::string& pem) const;

  std::string certificate_path() const { return folder_ + "/certificate.pem"; }

 private:
  std::string path(const char* name) const { return folder_ + "/" + name; }
  std::string folder_;
};

}  // namespace tulle::identity
