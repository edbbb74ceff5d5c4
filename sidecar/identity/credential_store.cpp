#include "sidecar/identity/credential_store.hpp"

#include "core/base/file.hpp"
#include "core/net/tls.hpp"
#include "core/net/x509_key.hpp"

namespace tulle::identity {

namespace {

constexpr const char* kCertificate = "certificate.pem";
constexpr const char* kKey = "key.pem";
constexpr const char* kNextKey = "key.next.pem";
constexpr const char* kBundle = "bundle.pem";

bool is_absent(const Error& error) { return error.code == Code::not_found; }

// A key that everybody on the machine can read is nobody's any more.
Result<std::string> read_key(const std::string& path) {
  auto key = read_small_file(path);
  if (key && (file_mode(path) & 07) != 0) {
    return Error{Code::io_error, Origin::local,
                 path + ": every user of this machine can read it, so it is not used; remove it, "
                        "and join again with a new token"};
  }
  return key;
}

}  // namespace

Result<std::optional<StoredCredentials>> CredentialStore::load() const {
  auto certificate = read_small_file(path(kCertificate));
  if (!certificate) {
    if (is_absent(certificate.error())) return std::optional<StoredCredentials>();
    return certificate.error();
  }
  auto bundle = read_small_file(path(kBundle));
  if (!bundle) return bundle.error();
  Error last{Code::io_error, Origin::local, path(kKey) + ": is missing"};
  // The next key is the certificate's when the process died while it stored the two.
  for (const char* name : {kKey, kNextKey}) {
    auto key = read_key(path(name));
    if (!key) {
      if (!is_absent(key.error())) last = key.error();
      continue;
    }
    auto matching = check_key_matches(*certificate, *key, path(name));
    if (matching) {
      return std::optional(StoredCredentials{std::move(*certificate), std::move(*key),
                                             std::move(*bundle)});
    }
    last = matching.error();
  }
  return last;
}

Result<std::string> CredentialStore::next_key() const {
  if (auto made = make_folder(folder_, 0700); !made) return made.error();
  if (auto stored = read_key(path(kNextKey))) {
    if (key_fingerprint(*stored, path(kNextKey))) return stored;
  }
  std::string key = generate_key();
  if (auto written = replace_file(path(kNextKey), key, 0600); !written) return written.error();
  return key;
}

Result<void> CredentialStore::forget_next_key() const { return remove_file(path(kNextKey)); }

// The bundle first: it holds the CAs of both the former and the new certificate.
Result<void> CredentialStore::save(const StoredCredentials& credentials) const {
  if (auto made = make_folder(folder_, 0700); !made) return made;
  if (auto done = save_bundle(credentials.bundle_pem); !done) return done;
  if (auto done = replace_file(path(kCertificate), credentials.certificate_pem, 0644); !done) {
    return done;
  }
  if (auto done = replace_file(path(kKey), credentials.key_pem, 0600); !done) return done;
  return forget_next_key();
}

Result<void> CredentialStore::save_bundle(const std::string& pem) const {
  return replace_file(path(kBundle), pem, 0644);
}

}  // namespace tulle::identity
