#include "sidecar/config/resource_json.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "sidecar/config/json_check.hpp"
#include "sidecar/config/strict_json.hpp"
#include "xds/catalog.hpp"

namespace tulle::config {

namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using nlohmann::json;

std::unique_ptr<Message> make_message(xds::ResourceType type) {
  return xds::make_message(xds::message_of_url(xds::type_url(type)));
}

// Map order is random in memory; equal resources must have equal bytes.
std::string deterministic_bytes(const Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

std::string title(std::string_view origin, xds::ResourceType type, std::string_view name) {
  std::string text(origin);
  if (!text.empty()) text.push_back(' ');
  return text.append(xds::short_name(type)).append(" \"").append(name).append("\"");
}

// What a resource calls itself, before it is known to be well formed.
std::string claimed_name(const json& object, xds::ResourceType type) {
  const bool endpoints = type == xds::ResourceType::endpoints;
  for (const char* key :
       {endpoints ? "cluster_name" : "name", endpoints ? "clusterName" : "name"}) {
    const auto found = object.find(key);
    if (found != object.end() && found->is_string()) return found->get<std::string>();
  }
  return {};
}

void redact(envoy::config::core::v3::DataSource& source) {
  if (source.has_inline_bytes() || source.has_inline_string()) {
    source.set_inline_string("<redacted>");
  }
}

using envoy::extensions::transport_sockets::tls::v3::TlsCertificate;

void hide_keys(TlsCertificate& certificate) {
  if (certificate.has_private_key()) redact(*certificate.mutable_private_key());
  if (certificate.has_password()) redact(*certificate.mutable_password());
  if (certificate.has_pkcs12()) redact(*certificate.mutable_pkcs12());
}

enum class Rewrite { canonical, without_keys };

void rewrite(Message& message, Rewrite how);

// What is packed is written anew: the JSON reader packs fields in the order of the text, and equal
// resources must have equal bytes.
void rewrite_packed(google::protobuf::Any& any, Rewrite how) {
  const std::unique_ptr<Message> inner = xds::make_message(xds::message_of_url(any.type_url()));
  if (inner == nullptr || !inner->ParseFromString(any.value())) {
    if (how == Rewrite::without_keys) any.Clear();  // JSON could not show it, and who knows what
    return;
  }
  rewrite(*inner, how);
  any.set_value(deterministic_bytes(*inner));
}

void rewrite(Message& message, Rewrite how) {
  if (auto* any = dynamic_cast<google::protobuf::Any*>(&message)) return rewrite_packed(*any, how);
  auto* certificate = dynamic_cast<TlsCertificate*>(&message);
  if (certificate != nullptr && how == Rewrite::without_keys) hide_keys(*certificate);
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      rewrite(*reflection.MutableMessage(&message, field), how);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      rewrite(*reflection.MutableRepeatedMessage(&message, field, i), how);
    }
  }
}

std::optional<xds::ResourceType> read_type(const json& object, const std::string& origin,
                                           Problems& problems) {
  const Place place(problems, origin);
  if (!object.is_object()) {
    place.invalid(std::string("expected an object, found ") + kind_of(object));
    return std::nullopt;
  }
  const auto url = object.find("@type");
  if (url == object.end() || !url->is_string()) {
    place.field("@type").invalid(url == object.end() ? "is missing" : "expected a string");
    return std::nullopt;
  }
  const std::string& text = url->get_ref<const std::string&>();
  const std::optional<xds::ResourceType> type = xds::type_of_url(text);
  if (!type) {
    std::vector<std::string_view> known;
    for (const xds::ResourceType each : xds::kResourceTypes) known.push_back(xds::type_url(each));
    std::string message = "\"" + text + "\" is not a resource type";
    const std::string_view near = nearest(text, known);
    if (!near.empty()) message.append("; did you mean \"").append(near).append("\"?");
    place.field("@type").invalid(std::move(message));
  }
  return type;
}

}  // namespace

std::string name_of_message(const Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  const FieldDescriptor* field = type.FindFieldByName("name");
  if (field == nullptr) field = type.FindFieldByName("cluster_name");
  return field == nullptr ? std::string() : message.GetReflection()->GetString(message, field);
}

std::string title_of(const xds::Resource& resource) {
  return title(resource.origin, resource.type, resource.name);
}

std::optional<xds::Resource> resource_from_json(std::string_view text, const std::string& origin,
                                                Problems& problems) {
  json object;
  if (!parse_strict_json(text, object, Place(problems, origin))) return std::nullopt;
  const std::optional<xds::ResourceType> type = read_type(object, origin, problems);
  if (!type) return std::nullopt;
  object.erase("@type");

  const Place place(problems, title(origin, *type, claimed_name(object, *type)));
  const size_t before = problems.size();
  std::unique_ptr<Message> message = make_message(*type);
  check_proto_json(object, *message->GetDescriptor(), place);
  if (problems.size() > before) return std::nullopt;

  const std::string checked = object.dump();
  const auto status = google::protobuf::util::JsonStringToMessage(checked, message.get());
  if (!status.ok()) {
    place.invalid(std::string(status.message()));
    return std::nullopt;
  }
  rewrite(*message, Rewrite::canonical);
  xds::Resource resource;
  resource.type = *type;
  resource.name = name_of_message(*message);
  resource.bytes = deterministic_bytes(*message);
  resource.origin = origin;
  if (!message->ParseFromString(resource.bytes)) {  // libprotobuf bounds the depth of a message
    place.invalid("is nested too deeply");
    return std::nullopt;
  }
  if (resource.name.empty()) {
    place.field(*type == xds::ResourceType::endpoints ? "cluster_name" : "name")
        .invalid("must not be empty");
    return std::nullopt;
  }
  return resource;
}

std::unique_ptr<Message> parse_resource_message(const xds::Resource& resource) {
  std::unique_ptr<Message> message = make_message(resource.type);
  return message->ParseFromString(resource.bytes) ? std::move(message) : nullptr;
}

std::optional<std::string> name_of_resource(const xds::Resource& resource) {
  const std::unique_ptr<Message> message = parse_resource_message(resource);
  if (message == nullptr) return std::nullopt;
  return name_of_message(*message);
}

std::string resource_to_json(const xds::Resource& resource) {
  const std::unique_ptr<Message> message = parse_resource_message(resource);
  if (message == nullptr) return "{}";
  rewrite(*message, Rewrite::without_keys);
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(*message, &text, options).ok()) return "{}";
  json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return "{}";
  object["@type"] = xds::type_url(resource.type);
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace tulle::config
