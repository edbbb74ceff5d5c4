#include <stdio.h>

#include <array>
#include <nlohmann/json.hpp>

#include "cli/api/session.hpp"
#include "cli/commands/commands.hpp"
#include "cli/commands/kinds.hpp"
#include "cli/render/document_tables.hpp"
#include "core/base/ascii.hpp"
#include "core/base/clock.hpp"
#include "sidecar/config/problem.hpp"

namespace tulle::cli {
namespace {

struct KindName {
  std::string_view said;
  std::string_view plural;
};
constexpr std::array<KindName, 9> kKindNames = {{{"services", "services"},
                                                  {"service", "services"},
                                                  {"svc", "services"},
                                                  {"workloads", "workloads"},
                                                  {"workload", "workloads"},
                                                  {"httproutes", "httproutes"},
                                                  {"httproute", "httproutes"},
                                                  {"routes", "httproutes"},
                                                  {"route", "httproutes"}}};

std::string singular(const std::string& plural) { return plural.substr(0, plural.size() - 1); }

}  // namespace

Result<std::string> plural_of_kind(const std::string& said) {
  const std::string lower = lower_case(said);
  std::vector<std::string_view> known;
  for (const KindName& kind : kKindNames) {
    if (kind.said == lower) return std::string(kind.plural);
    known.push_back(kind.said);
  }
  const std::string_view meant = config::nearest(lower, known);
  return Error{Code::invalid_config, Origin::local,
               "\"" + said + "\" is no kind; there are services, workloads and httproutes" +
                   (meant.empty() ? "" : "; did you mean " + std::string(meant) + "?")};
}

int get(const GetOptions& options) {
  Result<std::string> plural = plural_of_kind(options.kind);
  if (!plural) return complain(plural.error().detail, kUsage);
  Result<ApiAccess> access = find_access(options.access);
  if (!access) return complain(access.error());
  Session session(std::move(*access));
  ApiRequest request{Method::get, "/v1/" + *plural};
  if (!options.name.empty()) {
    request.path = document_path(*plural, options.namespace_name, options.name);
  } else if (!options.all_namespaces) {
    request.path += "?namespace=" + options.namespace_name;
  }
  Result<ApiAnswer> answer = session.ask(request);
  if (!answer) return complain(answer.error());
  if (answer->status == 404 && !options.name.empty()) {
    return complain("there is no " + singular(*plural) + " " + options.namespace_name + "/" + options.name +
                        "; see: tulle get " + *plural,
                    kFailed);
  }
  if (!answer->accepted()) return complain(describe_refusal(*answer), kFailed);
  if (options.format == Format::json) {
    const nlohmann::ordered_json body = nlohmann::ordered_json::parse(answer->body, nullptr, false);
    ::printf("%s\n", body.is_discarded() ? answer->body.c_str() : body.dump(2).c_str());
  } else {
    const std::string table = documents_table(*plural, answer->body, wall_now().us / 1'000'000,
                                              options.all_namespaces);
    ::fwrite(table.data(), 1, table.size(), stdout);
  }
  return kDone;
}

int delete_document(const DeleteOptions& options) {
  Result<std::string> plural = plural_of_kind(options.kind);
  if (!plural) return complain(plural.error().detail, kUsage);
  Result<ApiAccess> access = find_access(options.access);
  if (!access) return complain(access.error());
  Session session(std::move(*access));
  const std::string name = singular(*plural) + " " + options.namespace_name + "/" + options.name;
  Result<ApiAnswer> answer = session.ask(
      {Method::delete_, document_path(*plural, options.namespace_name, options.name)});
  if (!answer) return complain(answer.error());
  if (answer->status == 404) {
    return complain("there is no " + name + "; see: tulle get " + *plural, kFailed);
  }
  if (!answer->accepted()) return complain(name + " is not deleted: " + describe_refusal(*answer), kFailed);
  ::printf("%s deleted\n", name.c_str());
  return kDone;
}

}  // namespace tulle::cli
