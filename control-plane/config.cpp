#include "control-plane/config.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "control-plane/model/names.hpp"
#include "control-plane/model/read_values.hpp"
#include "sidecar/config/strict_json.hpp"

namespace tulle {

using config::Place;
using model::Object;
using nlohmann::json;

namespace {

constexpr size_t kMostBytes = 1024 * 1024;
constexpr uint64_t kShortestLifetime = 10;             // tests; clocks differ by seconds
constexpr uint64_t kLongestLifetime = 30 * 24 * 3600;  // a stolen key is good for as long

Address read_address(Object& object, const char* otherwise) {
  std::string text = object.text("address");
  if (text.empty()) text = otherwise;
  const Result<Address> address = Address::parse(text);
  if (address) return *address;
  object.place("address").invalid("\"" + text + "\" is not ip:port");
  return {};
}

Address read_endpoint(Object& file, const char* name, const char* otherwise) {
  const json* value = file.find(name);
  const json nothing = json::object();
  Object object(value != nullptr ? *value : nothing, file.place(name));
  const Address address = read_address(object, otherwise);
  object.finish();
  return address;
}

bool read_flag(Object& object, const char* name) {
  const json* value = object.find(name);
  if (value == nullptr) return false;
  if (!value->is_boolean()) object.place(name).invalid(model::expected("true or false", *value));
  return value->is_boolean() && value->get<bool>();
}

void read_api(Object& file, ControlPlaneConfig& config) {
  const json* value = file.find("api");
  const json nothing = json::object();
  Object object(value != nullptr ? *value : nothing, file.place("api"));
  config.api = read_address(object, "127.0.0.1:15080");
  config.api_plaintext = read_flag(object, "plaintext_loopback");
  if (config.api_plaintext && config.api.is_set() && !config.api.is_loopback()) {
    object.place("plaintext_loopback").invalid("needs a loopback address, not " +
                                               config.api.to_string());
  }
  config.token_file = object.text("token_file");
  object.finish();
}

void read_ca(Object& file, ControlPlaneConfig& config) {
  const json* value = file.find("ca");
  if (value == nullptr) return;
  Object object(*value, file.place("ca"));
  config.certificate_lifetime_seconds = static_cast<int64_t>(
      object.number("certificate_lifetime_seconds", kShortestLifetime, kLongestLifetime)
          .value_or(86400));
  config.ca_certificate_file = object.text("certificate_file");
  config.ca_key_file = object.text("key_file");
  if (config.ca_certificate_file.empty() != config.ca_key_file.empty()) {
    object.place(config.ca_key_file.empty() ? "key_file" : "certificate_file")
        .invalid("is missing; a given authority needs both files");
  }
  object.finish();
}

void read_tracing(Object& file, ControlPlaneConfig& config) {
  const json* value = file.find("tracing");
  if (value == nullptr) return;
  Object object(*value, file.place("tracing"));
  const std::string otlp = object.text("otlp");
  const std::string zipkin = object.text("zipkin");
  const json* percent = object.find("sampling_percent");
  object.finish();
  if (otlp.empty() == zipkin.empty()) {
    return object.place().invalid("needs one of otlp and zipkin: the URL of a collector");
  }
  const char* name = zipkin.empty() ? "otlp" : "zipkin";
  Result<build::Collector> collector =
      zipkin.empty() ? build::read_collector(build::Collector::Format::otlp, otlp)
                     : build::read_collector(build::Collector::Format::zipkin, zipkin);
  if (!collector) return object.place(name).invalid(collector.error().detail);
  if (percent != nullptr) {
    const double number = percent->is_number() ? percent->get<double>() : -1;
    if (!(number >= 0 && number <= 100)) {
      return object.place("sampling_percent").invalid("must be a number between 0 and 100");
    }
    collector->sampling_percent = number;
  }
  config.tracing = std::move(*collector);
}

std::string read_domain(Object& file, const char* name, std::string otherwise) {
  const std::string text = file.text(name);
  if (text.empty()) return otherwise;
  if (!model::is_dns_subdomain(text)) file.place(name).invalid("\"" + text + "\" is no DNS name");
  return text;
}

}  // namespace

ControlPlaneConfigRead read_control_plane_config(std::string_view text) {
  ControlPlaneConfigRead read;
  const Place place(read.problems, "");
  json value;
  if (!config::parse_strict_json(text, value, place)) return read;
  ControlPlaneConfig config;
  Object file(value, place);
  config.data_dir = file.required_text("data_dir");
  config.trust_domain = read_domain(file, "trust_domain", config.trust_domain);
  config.cluster_domain = read_domain(file, "cluster_domain", config.cluster_domain);
  config.xds = read_endpoint(file, "xds", "127.0.0.1:15012");
  read_api(file, config);
  config.metrics = read_endpoint(file, "metrics", "127.0.0.1:15014");
  read_ca(file, config);
  read_tracing(file, config);
  file.finish();
  if (config.token_file.empty()) config.token_file = config.data_dir + "/admin.token";
  if (read.problems.empty()) read.config = std::move(config);
  return read;
}

ControlPlaneConfigRead read_control_plane_config_file(const std::string& path) {
  ControlPlaneConfigRead read;
  const auto unreadable = [&](const std::string& why) {
    Place(read.problems, "").unreadable("cannot read " + path + ": " + why);
  };
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kMostBytes + 1, '\0');
  if (!file) {
    unreadable(std::strerror(errno));
    return read;
  }
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.gcount() == 0 && errno != 0)) {
    unreadable(std::strerror(errno));
    return read;
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() <= kMostBytes) return read_control_plane_config(text);
  unreadable("it is longer than 1 MiB");
  return read;
}

}  // namespace tulle
