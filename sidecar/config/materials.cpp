#include "sidecar/config/materials.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>

#include <algorithm>
#include <memory>
#include <set>

#include "core/base/clock.hpp"
#include "core/base/time_text.hpp"
#include "core/net/tls.hpp"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/common.pb.h"
#include "sidecar/config/message_walk.hpp"
#include "sidecar/config/read_file.hpp"
#include "sidecar/config/resource_json.hpp"

namespace tulle::config {

namespace {

using envoy::config::core::v3::DataSource;
using envoy::extensions::transport_sockets::tls::v3::TlsCertificate;
using google::protobuf::Any;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

struct CertificateUse {
  TlsCertificate certificate;
  Place place;
};

// Finds files and certificates wherever they stand, inside Any too.
class Finder : public MessageWalk {
 public:
  Finder(const Place& root, std::vector<FileUse>& files, std::vector<CertificateUse>& certificates)
      : MessageWalk(root), files_(files), certificates_(certificates) {}

 private:
  bool on_field(const Message&, const FieldDescriptor&) override { return true; }
  void on_packed(const Any& any) override { walk_packed(any); }
  void on_message(const Message& message) override {
    if (const auto* source = dynamic_cast<const DataSource*>(&message)) {
      if (source->has_filename()) files_.push_back({source->filename(), here().field("filename")});
    } else if (const auto* pair = dynamic_cast<const TlsCertificate*>(&message)) {
      certificates_.push_back({*pair, here()});
    }
  }

  std::vector<FileUse>& files_;
  std::vector<CertificateUse>& certificates_;
};

void find_in(const xds::ResourceSet& resources, Problems& problems, std::vector<FileUse>& files,
             std::vector<CertificateUse>& certificates) {
  for (const xds::ResourceType type : xds::kResourceTypes) {
    if (type == xds::ResourceType::endpoints) continue;  // no data sources there
    for (const auto& [name, resource] : resources.all(type)) {
      const std::unique_ptr<Message> message = parse_resource_message(*resource);
      if (message == nullptr) continue;  // compile() reports it
      Finder(Place(problems, title_of(*resource)), files, certificates).walk(*message);
    }
  }
}

// Expired or early certificates, and keys that belong to another one. Names are files, if any.
void check_pair(const std::string& certificate, const std::string& key, const std::string& name,
                const std::string& key_name, const Place& certificate_place,
                const Place& key_place) {
  const auto facts = read_certificate(certificate, name);
  if (!facts) return certificate_place.unreadable(facts.error().detail);
  const int64_t now = wall_now().us / 1'000'000;
  const std::string prefix = name.empty() ? "" : name + ": ";
  if (now > facts->not_after) {
    certificate_place.unreadable(prefix + "the certificate expired at " +
                                 rfc3339(facts->not_after));
  } else if (now < facts->not_before) {
    certificate_place.unreadable(prefix + "the certificate is not valid before " +
                                 rfc3339(facts->not_before));
  }
  const auto matching = check_key_matches(certificate, key, key_name);
  if (!matching) key_place.unreadable(matching.error().detail);
}

std::optional<std::string> read_at(const std::string& path, const Place& place) {
  Result<std::string> content = read_file(path);
  if (content) return std::move(*content);
  place.unreadable(content.error().detail);
  return std::nullopt;
}

// The name in the certificate must lie in the trust domain that the file claims.
void check_trust_domain(const Identity& identity, const IdentityFiles& files, const Place& place) {
  const auto facts = read_certificate(identity.certificate_pem, files.certificate);
  if (!facts) return;  // reported by check_pair
  if (facts->spiffe_id.starts_with("spiffe://" + identity.trust_domain + "/")) return;
  const std::string found = facts->spiffe_id.empty() ? "no SPIFFE ID" : facts->spiffe_id;
  place.field("trust_domain").invalid("the certificate " + files.certificate + " holds " + found +
                                      ", which is not in trust domain \"" +
                                      identity.trust_domain + "\"");
}

std::optional<Identity> load_identity(const IdentityFiles& files, const Place& place) {
  auto certificate = read_at(files.certificate, place.field("certificate"));
  auto key = read_at(files.key, place.field("key"));
  auto trust = read_at(files.trust_bundle, place.field("trust_bundle"));
  if (!certificate || !key || !trust) return std::nullopt;
  Identity identity{std::move(*certificate), std::move(*key), std::move(*trust),
                    files.trust_domain, files.certificate};
  const size_t before = place.problem_count();
  check_pair(identity.certificate_pem, identity.key_pem, files.certificate, files.key,
             place.field("certificate"), place.field("key"));
  check_trust_domain(identity, files, place);
  const auto bundle = read_certificate(identity.trust_pem, files.trust_bundle);
  if (!bundle) place.field("trust_bundle").unreadable(bundle.error().detail);
  // A faulty identity is reported once, here, and not again by every listener that uses it.
  if (place.problem_count() != before) return std::nullopt;
  return identity;
}

const std::string* text_of(const DataSource& source, const Materials& materials) {
  if (source.has_inline_string()) return &source.inline_string();
  if (source.has_inline_bytes()) return &source.inline_bytes();
  const auto found = materials.files.find(source.filename());
  return found == materials.files.end() ? nullptr : &found->second;
}

}  // namespace

std::vector<FileUse> files_of(const xds::ResourceSet& resources, Problems& problems) {
  std::vector<FileUse> files;
  std::vector<CertificateUse> certificates;
  find_in(resources, problems, files, certificates);
  return files;
}

Materials read_materials(const std::optional<IdentityFiles>& identity,
                         const xds::ResourceSet& resources, Problems& problems) {
  const size_t before = problems.size();
  Materials materials;
  if (identity) {
    materials.identity = load_identity(*identity, Place(problems, "").field("identity"));
  }
  std::vector<FileUse> files;
  std::vector<CertificateUse> certificates;
  find_in(resources, problems, files, certificates);
  for (const FileUse& use : files) {
    if (materials.files.contains(use.path)) continue;
    if (auto content = read_at(use.path, use.place)) {
      materials.files.emplace(use.path, std::move(*content));
    }
  }
  for (const CertificateUse& use : certificates) {
    const std::string* chain = text_of(use.certificate.certificate_chain(), materials);
    const std::string* key = text_of(use.certificate.private_key(), materials);
    if (chain == nullptr || key == nullptr) continue;  // reported, or compile() will
    check_pair(*chain, *key, use.certificate.certificate_chain().filename(),
               use.certificate.private_key().filename(), use.place.field("certificate_chain"),
               use.place.field("private_key"));
  }
  materials.complete = problems.size() == before;
  return materials;
}

std::vector<std::string> watched_paths(const Bootstrap& bootstrap) {
  std::set<std::string> paths;
  if (bootstrap.identity) {
    paths.insert({bootstrap.identity->certificate, bootstrap.identity->key,
                  bootstrap.identity->trust_bundle});
  }
  Problems ignored;
  for (FileUse& use : files_of(bootstrap.resources, ignored)) paths.insert(std::move(use.path));
  return {paths.begin(), paths.end()};
}

}  // namespace tulle::config
