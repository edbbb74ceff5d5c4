#include "sidecar/config/last_good.hpp"

#include <cstdint>
#include <utility>

#include "core/base/file.hpp"
#include "sidecar/config/resource_json.hpp"
#include "xds/content_hash.hpp"

namespace tulle::config {

namespace {

// The version changes with the records; an older file is then ignored, which costs one connection to
// the control plane.
constexpr std::string_view kMagic = "tulle-last-good 1\n";
constexpr size_t kChecksum = 32;
// More is refused when it is written, so that it is never read: a sidecar that uses so much has more
// than thousands of destinations.
constexpr size_t kLargest = 64 * 1024 * 1024;

enum class Record : char {
  owner = 'O',
  resource = 'R',     // type, name, version, bytes
  destination = 'D',  // name
  unknown = 'U',      // name
  address = 'A',      // name, ip:port
};

class Writer {
 public:
  void record(Record kind) { bytes_.push_back(static_cast<char>(kind)); }
  void field(std::string_view text) {
    for (int shift = 0; shift < 32; shift += 8) {
      bytes_.push_back(static_cast<char>((text.size() >> shift) & 0xff));
    }
    bytes_.append(text);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  bool at_end() const { return rest_.empty() || damaged_; }
  bool damaged() const { return damaged_; }
  void fail() { damaged_ = true; }

  Record record() {
    const char kind = rest_.front();
    rest_.remove_prefix(1);
    return static_cast<Record>(kind);
  }
  std::string_view field() {
    if (rest_.size() < 4) return fail(), std::string_view();
    uint32_t size = 0;
    for (int i = 0; i < 4; ++i) {
      size |= static_cast<uint32_t>(static_cast<unsigned char>(rest_[static_cast<size_t>(i)]))
              << (8 * i);
    }
    rest_.remove_prefix(4);
    if (size > rest_.size()) return fail(), std::string_view();
    const std::string_view text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return text;
  }

 private:
  std::string_view rest_;
  bool damaged_ = false;
};

Error unusable(std::string_view why) {
  return {Code::invalid_config, Origin::local, std::string(why)};
}

void read_resource(Reader& reader, xds::ResourceSet& resources) {
  xds::Resource resource;
  const std::optional<xds::ResourceType> type = xds::type_of_url(reader.field());
  resource.name = reader.field();
  resource.version = reader.field();
  resource.bytes = reader.field();
  if (!type || reader.damaged()) return reader.fail();
  resource.type = *type;
  if (name_of_resource(resource) != resource.name) return reader.fail();
  resources.put(std::move(resource));
}

// What the records say; `owner` is compared when it comes.
std::optional<Error> read_records(Reader& reader, LastGood& state, std::string_view owner) {
  bool owned = false;
  while (!reader.at_end()) {
    switch (reader.record()) {
      case Record::owner:
        owned = reader.field() == owner;
        if (!owned) return unusable("belongs to another workload");
        break;
      case Record::resource: read_resource(reader, state.resources); break;
      case Record::destination: state.destinations.emplace(reader.field()); break;
      case Record::unknown: state.unknown.emplace(reader.field()); break;
      case Record::address: {
        const std::string name(reader.field());
        const Result<Address> address = Address::parse(reader.field());
        if (!address) return unusable("is damaged");
        state.addresses[name] = *address;
        break;
      }
      default: reader.fail();
    }
  }
  if (reader.damaged() || !owned) return unusable("is damaged");
  return std::nullopt;
}

std::string path_in(const std::string& directory) {
  return directory + "/" + std::string(kLastGoodFile);
}

}  // namespace

std::string encode(const LastGood& state, std::string_view owner) {
  Writer writer;
  writer.record(Record::owner);
  writer.field(owner);
  for (const xds::ResourceType type : xds::kResourceTypes) {
    for (const auto& [name, resource] : state.resources.all(type)) {
      writer.record(Record::resource);
      writer.field(xds::type_url(type));
      writer.field(name);
      writer.field(resource->version);
      writer.field(resource->bytes);
    }
  }
  for (const std::string& name : state.destinations) {
    writer.record(Record::destination);
    writer.field(name);
  }
  for (const std::string& name : state.unknown) {
    writer.record(Record::unknown);
    writer.field(name);
  }
  for (const auto& [name, address] : state.addresses) {
    writer.record(Record::address);
    writer.field(name);
    writer.field(address.to_string());
  }
  std::string bytes(kMagic);
  bytes.append(xds::hash_of(writer.bytes()).hex()).append(writer.bytes());
  return bytes;
}

Result<LastGood> decode_last_good(std::string_view bytes, std::string_view owner) {
  if (!bytes.starts_with(kMagic)) return unusable("is not of this version, or damaged");
  bytes.remove_prefix(kMagic.size());
  const std::string_view checksum = bytes.substr(0, kChecksum);
  bytes.remove_prefix(checksum.size());
  if (xds::hash_of(bytes).hex() != checksum) return unusable("is damaged");
  LastGood state;
  Reader reader(bytes);
  if (std::optional<Error> error = read_records(reader, state, owner)) return *error;
  return state;
}

Result<void> save_last_good(const std::string& directory, const LastGood& state,
                            std::string_view owner) {
  const std::string bytes = encode(state, owner);
  const std::string path = path_in(directory);
  if (bytes.size() > kLargest) {
    return Error{Code::io_error, Origin::local, path + ": would be larger than 64 MiB"};
  }
  Result<void> folder = make_folder(directory, 0700);
  if (!folder) return folder;
  return replace_file(path, bytes, 0600);
}

Result<std::optional<LastGood>> load_last_good(const std::string& directory,
                                               std::string_view owner) {
  const std::string path = path_in(directory);
  Result<std::string> bytes = read_small_file(path, kLargest);
  if (!bytes) {
    if (bytes.error().code == Code::not_found) return std::optional<LastGood>();
    return bytes.error();
  }
  Result<LastGood> state = decode_last_good(*bytes, owner);
  if (!state) {
    state.error().detail = path + " " + state.error().detail;
    return state.error();
  }
  return std::optional<LastGood>(std::move(*state));
}

}  // namespace tulle::config
