#include <stdio.h>
#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>

#include "cli/api/session.hpp"
#include "cli/commands/commands.hpp"
#include "cli/render/palette.hpp"
#include "cli/render/table.hpp"
#include "cli/run_record.hpp"
#include "cli/up/output.hpp"
#include "core/net/tls.hpp"

namespace tulle::cli {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

struct Certificate {
  std::string identity;
  int64_t not_after = 0;  // 0: there is none
};

Certificate certificate_of(const RunDirectory& run, const std::string& instance) {
  const std::string path = run.instance(instance) + "/identity/certificate.pem";
  const Result<std::string> pem = read_whole_file(path);
  if (!pem) return {};
  const Result<CertificateFacts> facts = read_certificate(*pem, path);
  if (!facts) return {};
  return {facts->spiffe_id, facts->not_after};
}

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? without_controls(found->get<std::string>()) : "";
}

// The control plane's view of each sidecar, by node.
std::map<std::string, json> sidecars_of(const json& status) {
  std::map<std::string, json> by_node;
  const auto sidecars = status.is_object() ? status.find("sidecars") : status.end();
  if (sidecars == status.end() || !sidecars->is_array()) return by_node;
  for (const json& sidecar : *sidecars) {
    if (sidecar.is_object()) by_node[text_of(sidecar, "node")] = sidecar;
  }
  return by_node;
}

Result<json> ask_status(const Result<ApiAccess>& access) {
  if (!access) return access.error();
  Session session(*access);
  Result<ApiAnswer> answer = session.ask({Method::get, "/v1/status"});
  if (!answer) return answer.error();
  if (!answer->accepted()) {
    return Error{Code::denied, Origin::upstream, describe_refusal(*answer)};
  }
  json parsed = json::parse(answer->body, nullptr, false);
  if (!parsed.is_object()) {
    return Error{Code::upstream_protocol_error, Origin::upstream, "the answer of /v1/status is no JSON object"};
  }
  return parsed;
}

// One mesh that is up here: its record, joined with what the control plane says.
class MeshStatus {
 public:
  MeshStatus(RunDirectory run, RunRecord record, const Result<json>& plane)
      : run_(std::move(run)), record_(std::move(record)) {
    if (plane) {
      sidecars_ = sidecars_of(*plane);
    } else {
      plane_problem_ = plane.error().detail;
    }
  }

  bool good() const {
    for (const InstanceRecord& one : record_.instances) {
      if (one.state != "up" || sync_of(one) != "synced") return false;
    }
    return plane_problem_.empty();
  }
  std::string table(int64_t now) const;
  std::string as_json() const;

 private:
  std::string sync_of(const InstanceRecord& one) const {
    if (!plane_problem_.empty()) return "unknown";
    const auto found = sidecars_.find(one.name);
    return found == sidecars_.end() ? "not connected" : text_of(found->second, "state");
  }
  std::string error_of(const InstanceRecord& one) const {
    const auto found = sidecars_.find(one.name);
    return found == sidecars_.end() ? "" : text_of(found->second, "lastError");
  }

  const RunDirectory run_;
  const RunRecord record_;
  std::map<std::string, json> sidecars_;
  std::string plane_problem_;
};

std::string MeshStatus::table(int64_t now) const {
  const Palette palette = Palette::of(STDOUT_FILENO);
  std::string text = palette.bold("mesh " + record_.name) + " is " +
                     coloured_state(record_.phase, palette) + " since " + age(now - record_.started) +
                     ", trust domain " + record_.trust_domain + ", from " + record_.file + "\n" +
                     "control plane " + coloured_state(record_.control_plane_state, palette) + ", " +
                     record_.api + "\n\n";
  Table table({"INSTANCE", "STATE", "SIDECAR", "ADDRESS", "RESTARTS", "CERTIFICATE", "IDENTITY", ""});
  for (const InstanceRecord& one : record_.instances) {
    const Certificate certificate = certificate_of(run_, one.name);
    const int64_t left = certificate.not_after - now;
    std::string holds = certificate.not_after == 0 ? palette.bad("none") : age(left) + " left";
    if (certificate.not_after != 0 && left <= 0) holds = palette.bad("expired");
    const std::string trouble = one.detail.empty() ? error_of(one) : one.detail;
    table.row({one.name, coloured_state(one.state, palette), coloured_state(sync_of(one), palette),
               address_text(one), std::to_string(one.restarts), holds,
               certificate.identity.empty() ? "-" : certificate.identity,
               without_controls(trouble)});
  }
  text += table.text();
  if (!plane_problem_.empty()) {
    text += "\n" + palette.warn("what the control plane knows is missing: ") + plane_problem_ + "\n";
  }
  return text;
}

std::string MeshStatus::as_json() const {
  ordered_json document = ordered_json::parse(to_json(record_));
  document["runDirectory"] = run_.path();
  if (!plane_problem_.empty()) document["controlPlane"]["problem"] = plane_problem_;
  for (size_t i = 0; i < record_.instances.size(); ++i) {
    const Certificate certificate = certificate_of(run_, record_.instances[i].name);
    ordered_json& one = document["instances"][i];
    one["identity"] = certificate.identity;
    one["certificateNotAfter"] = certificate.not_after;
    one["sync"] = sync_of(record_.instances[i]);
    const auto known = sidecars_.find(record_.instances[i].name);
    if (known != sidecars_.end()) one["sidecar"] = known->second;
  }
  return document.dump(2) + "\n";
}

// A control plane that was named, not one that `up` has started.
int remote_status(const StatusOptions& options) {
  const Result<json> plane = ask_status(find_access(options.access));
  if (!plane) return complain(plane.error());
  bool good = true;
  Table table({"NODE", "NAMESPACE", "SERVICE", "STATE", "ADDRESS", "CONNECTED", "IDENTITY", ""});
  const Palette palette = Palette::of(STDOUT_FILENO);
  for (const auto& [node, sidecar] : sidecars_of(*plane)) {
    const std::string state = text_of(sidecar, "state");
    good = good && state == "synced";
    const auto connected = sidecar.find("connectedSeconds");
    table.row({node, text_of(sidecar, "namespace"), text_of(sidecar, "service"),
               coloured_state(state, palette), text_of(sidecar, "address"),
               connected != sidecar.end() && connected->is_number() ? age(connected->get<int64_t>()) : "-",
               text_of(sidecar, "identity"), text_of(sidecar, "lastError")});
  }
  const std::string text = options.format == Format::json ? plane->dump(2) + "\n" : table.text();
  ::fwrite(text.data(), 1, text.size(), stdout);
  return good ? kDone : kFailed;
}

}  // namespace

int status(const StatusOptions& options) {
  const AccessOptions access = with_environment(options.access);
  if (!access.api.empty() && access.mesh.empty()) return remote_status(options);
  Result<RunDirectory> run = choose_running(access.mesh);
  if (!run) return complain(run.error());
  Result<RunRecord> record = read_record(*run);
  if (!record) {
    return complain("mesh " + run->name() + " is only just starting (" + record.error().detail + ")", kFailed);
  }
  const MeshStatus mesh(*run, *record, ask_status(access_of_run(*run)));
  const std::string text =
      options.format == Format::json ? mesh.as_json() : mesh.table(wall_now().us / 1'000'000);
  ::fwrite(text.data(), 1, text.size(), stdout);
  return mesh.good() ? kDone : kFailed;
}

}  // namespace tulle::cli
