#include <gtest/gtest.h>

#include "core/net/tls.hpp"
#include "sidecar/config/compile_fixture_test.hpp"

namespace tulle::config {
namespace {

using testing::changed;
using testing::compile_json;
using testing::expect_problems;
using testing::Outcome;

const std::string kInbound = "/static_resources/2/filter_chains/0/transport_socket";
const std::string kServer = kInbound + "/typed_config";
const std::string kServerCommon = kServer + "/common_tls_context";
const std::string kClient = "/static_resources/1/transport_socket/typed_config";
const std::string kClientCommon = kClient + "/common_tls_context";
const std::string kCombined = kClientCommon + "/combined_validation_context";
const std::string kNames =
    kCombined + "/default_validation_context/match_typed_subject_alt_names";

const std::string kInServer =
    "static_resources[2] Listener \"inbound\": filter_chains[0].transport_socket.typed_config";
const std::string kInClient =
    "static_resources[1] Cluster \"orders\": transport_socket.typed_config";
const std::string kInClientCommon = kInClient + ".common_tls_context";
const std::string kInCombined = kInClientCommon + ".combined_validation_context";
const std::string kInNames =
    kInCombined + ".default_validation_context.match_typed_subject_alt_names";

std::string inline_pair() {
  const Materials materials = testing::test_materials();
  const nlohmann::json pair = {
      {"certificate_chain", {{"inline_string", materials.identity->certificate_pem}}},
      {"private_key", {{"inline_string", materials.identity->key_pem}}}};
  return nlohmann::json::array({pair}).dump();
}

TEST(ServerTls, FailsClosed) {
  expect_problems({
      {kServerCommon + "/tls_certificate_sds_secret_configs", "-",
       kInServer + ".common_tls_context: a server needs a certificate\n"},
      {kServerCommon + "/validation_context_sds_secret_config", "-",
       kInServer + ".require_client_certificate: needs a trusted_ca to verify with\n"},
      {kServerCommon, "{\"validation_context\": {}, "
                      "\"tls_certificate_sds_secret_configs\": [{\"name\": \"default\"}]}",
       kInServer + ".common_tls_context: verification needs a trusted_ca\n"},
      {kServerCommon + "/validation_context_sds_secret_config/name", "\"other\"",
       kInServer +
           ".common_tls_context.validation_context_sds_secret_config.name: secret \"other\" does "
           "not exist\n"},
      {kServerCommon + "/tls_certificates", inline_pair(),
       kInServer + ".common_tls_context: only one certificate is supported yet\n"},
      {kInbound + "/typed_config", "-",
       "static_resources[2] Listener \"inbound\": filter_chains[0].transport_socket: needs a "
       "typed_config\n"},
      {kServer,
       R"({"@type":
           "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"})",
       kInServer +
           ": a listener cannot have a "
           "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n"},
      {kServer + "/require_sni", "true",
       kInServer + ".require_sni: only false is supported yet\n"},
      {kServer + "/ocsp_staple_policy", "\"MUST_STAPLE\"",
       kInServer + ".ocsp_staple_policy: not supported yet\n"},
      {kServerCommon + "/custom_handshaker", "{}",
       kInServer + ".common_tls_context.custom_handshaker: not supported yet\n"},
      {kServerCommon + "/tls_params", R"({"tls_minimum_protocol_version": "TLSv1_0"})",
       kInServer +
           ".common_tls_context.tls_params.tls_minimum_protocol_version: must be TLSv1_2 or "
           "TLSv1_3\n"},
      {kServerCommon + "/tls_params", R"({"tls_maximum_protocol_version": "TLSv1_2"})",
       kInServer +
           ".common_tls_context.tls_params.tls_maximum_protocol_version: only TLSv1_3 is "
           "supported yet\n"},
      {kServerCommon + "/tls_params", R"({"cipher_suites": ["ECDHE-RSA-AES128-GCM-SHA256"]})",
       kInServer +
           ".common_tls_context.tls_params.cipher_suites[0]: \"ECDHE-RSA-AES128-GCM-SHA256\" is "
           "not a TLS 1.3 cipher suite\n"},
      {kServerCommon + "/tls_params", R"({"ecdh_curves": ["P-256"]})",
       kInServer + ".common_tls_context.tls_params.ecdh_curves: not supported yet\n"},
      {kServerCommon + "/alpn_protocols", R"(["h2", ""])",
       kInServer + ".common_tls_context.alpn_protocols[1]: must have 1 to 255 bytes\n"},
  });
}

TEST(ServerTls, Accepts) {
  expect_problems({
      {kServerCommon + "/tls_params",
       R"({"tls_minimum_protocol_version": "TLSv1_2",
           "cipher_suites": ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"]})", ""},
      {kServer + "/require_client_certificate", "false", ""},
      {kServerCommon,
       R"({"tls_certificate_sds_secret_configs":
           [{"name": "default", "sds_config": {"ads": {}, "resource_api_version": "V3"}}],
           "validation_context_sds_secret_config": {"name": "ROOTCA"},
           "alpn_protocols": ["h2", "http/1.1"]})", ""},
      {kServer + "/disable_stateless_session_resumption", "true", ""},
  });
}

TEST(ServerTls, AlpnFitsTheCodec) {
  const std::string manager = "/static_resources/2" + std::string(testing::kManager);
  nlohmann::json json = changed(manager + "/codec_type", "\"HTTP1\"");
  EXPECT_EQ(compile_json(json).problems, "");
  json = changed(kServerCommon + "/alpn_protocols", R"(["http/1.1", "h2"])", json);
  EXPECT_EQ(compile_json(json).problems,
            kInServer + ".common_tls_context.alpn_protocols[1]: \"h2\" is not spoken here\n");
}

TEST(ClientTls, FailsClosed) {
  const std::string not_verified =
      kInClientCommon + ": a client needs a trusted_ca to verify the server with\n";
  expect_problems({
      {kClientCommon, "{}", not_verified},
      {kClient + "/common_tls_context", "-", not_verified},
      {kClientCommon, R"({"validation_context": {"match_typed_subject_alt_names":
                          [{"san_type": "URI", "matcher": {"exact": "spiffe://x/y"}}]}})",
       kInClientCommon + ": verification needs a trusted_ca\n"},
      {kClientCommon, R"({"validation_context": {"trusted_ca": {}}})",
       kInClientCommon +
           ".validation_context.trusted_ca: needs one of filename, inline_bytes, inline_string\n"},
      {kClientCommon, R"({"validation_context": {"trusted_ca": {"inline_string": "nonsense"}},
                          "alpn_protocols": ["h2"]})",
       kInClientCommon + ": CA bundle holds no certificate in PEM form\n"},
      {kCombined + "/validation_context_sds_secret_config", "-",
       kInCombined + ".validation_context_sds_secret_config.name: secret \"\" does not exist\n"},
      {kNames, "[{}]",
       kInNames + "[0].matcher: needs one of exact, prefix, suffix\n" + kInNames +
           "[0].san_type: only URI and DNS are supported yet\n"},
      {kNames, R"([{"san_type": "URI", "matcher": {}}])",
       kInNames + "[0].matcher: needs one of exact, prefix, suffix\n"},
      {kNames, R"([{"san_type": "URI", "matcher": {"prefix": ""}}])",
       kInNames + "[0].matcher: must not be empty\n"},
      {kNames, R"([{"san_type": "URI", "matcher": {"safe_regex": {"regex": ".*"}}}])",
       kInNames + "[0].matcher: only exact, prefix and suffix are supported yet\n"},
      {kNames, R"([{"san_type": "EMAIL", "matcher": {"exact": "a@b"}}])",
       kInNames + "[0].san_type: only URI and DNS are supported yet\n"},
      {kNames, R"([{"san_type": "DNS", "matcher": {"exact": "a", "ignore_case": true}}])",
       kInNames + "[0].matcher.ignore_case: not supported yet\n"},
      {kCombined + "/default_validation_context/trust_chain_verification", "\"ACCEPT_UNTRUSTED\"",
       kInCombined + ".default_validation_context.trust_chain_verification: not supported yet\n"},
      {kCombined + "/default_validation_context/allow_expired_certificate", "true",
       kInCombined + ".default_validation_context.allow_expired_certificate: not supported yet\n"},
      {kCombined + "/default_validation_context/crl", R"({"inline_string": "x"})",
       kInCombined + ".default_validation_context.crl: not supported yet\n"},
      {kCombined + "/default_validation_context/verify_certificate_hash", R"(["ab"])",
       kInCombined + ".default_validation_context.verify_certificate_hash: not supported yet\n"},
      {kClient + "/auto_host_sni", "true", kInClient + ".auto_host_sni: not supported yet\n"},
      {kClient + "/allow_renegotiation", "true",
       kInClient + ".allow_renegotiation: not supported yet\n"},
  });
}

TEST(ClientTls, NeedsSomebodyToExpect) {
  nlohmann::json json = changed(kNames, "[]");
  EXPECT_EQ(compile_json(json).problems, "");  // the sni is verified
  json = changed(kClient + "/sni", "-", json);
  EXPECT_EQ(compile_json(json).problems,
            kInClientCommon +
                ": needs match_typed_subject_alt_names or sni: nothing says which server to "
                "expect\n");
}

TEST(ClientTls, AlpnFitsTheProtocol) {
  const std::string protocol =
      "/static_resources/1/typed_extension_protocol_options/"
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  nlohmann::json json = changed(protocol + "/auto_config", "-");
  json = changed(protocol + "/explicit_http_config", R"({"http2_protocol_options": {}})", json);
  json = changed(kClientCommon + "/alpn_protocols", R"(["tulle-h2", "http/1.1"])", json);
  EXPECT_EQ(compile_json(json).problems,
            kInClientCommon + ".alpn_protocols[1]: \"http/1.1\" is not spoken here\n");
}

TEST(Identity, IsNeededForItsSecrets) {
  const Outcome outcome = compile_json(testing::example(), nullptr, Materials{});
  EXPECT_EQ(outcome.problems,
            kInClientCommon +
                ".tls_certificate_sds_secret_configs[0].name: secret \"default\" is the "
                "workload's own; it needs \"identity\"\n" +
                kInCombined +
                ".validation_context_sds_secret_config.name: secret \"ROOTCA\" is the workload's "
                "own; it needs \"identity\"\n" +
                kInServer +
                ".common_tls_context.tls_certificate_sds_secret_configs[0].name: secret "
                "\"default\" is the workload's own; it needs \"identity\"\n" +
                kInServer +
                ".common_tls_context.validation_context_sds_secret_config.name: secret "
                "\"ROOTCA\" is the workload's own; it needs \"identity\"\n");
}

TEST(Secrets, AreResources) {
  nlohmann::json json =
      changed(kServerCommon + "/tls_certificate_sds_secret_configs/0/name", "\"site\"");
  json = changed(kServerCommon + "/validation_context_sds_secret_config/name", "\"trust\"", json);
  const Materials materials = testing::test_materials();
  const std::string type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
  json["static_resources"].push_back(
      {{"@type", type},
       {"name", "site"},
       {"tls_certificate",
        {{"certificate_chain", {{"inline_string", materials.identity->certificate_pem}}},
         {"private_key", {{"filename", "site.key"}}}}}});
  json["static_resources"].push_back(
      {{"@type", type},
       {"name", "trust"},
       {"validation_context",
        {{"trusted_ca", {{"inline_string", materials.identity->trust_pem}}}}}});
  EXPECT_EQ(compile_json(json, nullptr, materials).problems,
            "static_resources[4] Secret \"site\": tls_certificate.private_key.filename: "
            "site.key: has not been read\n");

  Materials with_file = materials;
  with_file.files["site.key"] = materials.identity->key_pem;
  const Outcome first = compile_json(json, nullptr, with_file);
  ASSERT_EQ(first.problems, "");
  EXPECT_NE(first.snapshot->listeners[0]->tls, nullptr);

  // A changed file is a changed listener, nothing else.
  with_file.files["site.key"] = tulle::testing::make_key_pem();
  EXPECT_EQ(compile_json(json, first.snapshot.get(), with_file).problems,
            kInServer + ".common_tls_context: private key does not belong to the certificate: "
                        "their public keys differ\n");

  const nlohmann::json empty = changed("/static_resources/5/validation_context", "{}", json);
  with_file.files["site.key"] = materials.identity->key_pem;
  EXPECT_EQ(compile_json(empty, nullptr, with_file).problems,
            kInServer + ".common_tls_context: verification needs a trusted_ca\n");
}

}  // namespace
}  // namespace tulle::config
