// tulle: arguments, then one command. Exit codes are in cli/commands/commands.hpp.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <functional>

#include "cli/commands/commands.hpp"
#include "tulle/version.hpp"

namespace {

using namespace tulle::cli;  // NOLINT: this file is the arguments of that namespace

constexpr const char* kOverview = R"(A service mesh: mutual TLS, routing and resilience between services that know nothing of it.

A mesh on this machine, from one file:
  tulle up mesh.yaml              start control plane, sidecars and services; Ctrl-C ends all
  tulle up mesh.yaml --detach     the same in the background
  tulle status                    what runs, who it is, until when its certificates hold
  tulle logs kitchen -f           what a service says
  tulle down                      end it

Change it while requests run:
  tulle apply -f policies/        create or change documents (YAML or JSON)
  tulle get httproutes            what there is
  tulle delete httproute kitchen  take one away

The same with a network namespace per instance, for programs that know of no proxy (root):
  tulle up mesh.yaml --isolate
  tulle exec kitchen-1 -- curl http://orders:8080/

Send a machine's or a container's traffic through its sidecar (root):
  tulle intercept install         and show, and remove)";

constexpr const char* kFooter = R"(Exit codes: 0 done; 1 tried and failed; 2 wrong usage or a file with problems (nothing was done);
3 no mesh is up, or its control plane does not answer.

The control plane is found by --api, --token-file and --ca-file, or the variables TULLE_API,
TULLE_TOKEN_FILE and TULLE_CA_FILE, or it is that of the mesh that is up on this machine.
'tulle COMMAND --help' explains a command.)";

void add_access(CLI::App& command, AccessOptions& access) {
  command.add_option("--mesh", access.mesh, "Name of a mesh that is up here (default: the only one)");
  command.add_option("--api", access.api, "Address of the control plane: https://HOST:PORT");
  command.add_option("--token-file", access.token_file, "File with the admin token");
  command.add_option("--ca-file", access.ca_file, "File with the CA that the API's certificate is from");
}

void add_format(CLI::App& command, Format& format) {
  static const std::map<std::string, Format> kNames = {{"table", Format::table}, {"json", Format::json}};
  command.add_option("-o,--output", format, "table (for people) or json (for programs)")
      ->transform(CLI::CheckedTransformer(kNames).description(""))
      ->type_name("FORMAT");
}

struct Arguments {
  UpOptions up;
  DownOptions down;
  StatusOptions status;
  ApplyOptions apply;
  GetOptions get;
  DeleteOptions remove;
  LogsOptions logs;
  InterceptOptions intercept;
  ExecOptions exec;
  EnterOptions enter;
};

void add_up(CLI::App& app, UpOptions& options, int& code) {
  CLI::App* command = app.add_subcommand("up", "Start the mesh that a file describes, and keep it up");
  command->add_option("FILE", options.file, "What to start: services, replicas, policies (YAML)")->required();
  command->add_option("--name", options.name, "Another name, for a second one beside the first");
  command->add_option("--state-dir", options.state_directory,
                      "Folder for what runs (default: .tulle beside the file)");
  command->add_flag("-d,--detach", options.detach, "Run in the background; return when everything is up");
  command->add_flag("--check", options.check, "Only read the file, its policies and its commands");
  CLI::Option* otlp = command->add_option(
      "--otlp", options.otlp, "Send the spans of every request to this collector: http://IP:PORT");
  command->add_option("--zipkin", options.zipkin, "The same, to a Zipkin server")->excludes(otlp);
  command->add_flag("--sidecar-logs", options.sidecar_logs, "Show the lines of sidecars and control plane too");
  CLI::Option* isolate = command->add_flag(
      "--isolate", options.isolate,
      "Every instance in a network namespace of its own, its traffic captured (root)");
  command->add_flag("--ipv6", options.ipv6, "With --isolate: instances reach each other over IPv6")->needs(isolate);
  command->footer(R"(Example file:
  name: shop
  services:
    orders:
      command: ["python3", "orders.py"]   # listens on 127.0.0.1:$PORT
      port: 8080                          # what callers use: http://orders:8080/
      replicas: 2
      health: /health
  policies: [policies/]

Each instance gets PORT, http_proxy (its sidecar) and one URL variable per service (ORDERS_URL).

With --isolate no proxy variable is needed: an instance has a network, addresses and an /etc/hosts of its
own, as a pod has. Services are reached by name on the port callers use (http://orders:8080/, redis:6379);
whatever an application sends or receives over TCP goes through its sidecar. It listens on $PORT of all
addresses, not on 127.0.0.1, and $PORT is the port callers use. Root is needed; applications run as `user:`
of the file says, else as whoever called sudo. Nothing leads out of the mesh, and nothing in: look inside
with 'tulle exec orders-1 -- curl http://kitchen/'. All of it is removed at the end, and what a killed run
has left by the next one.
  sudo tulle up mesh.yaml --isolate

docs/operations.md describes every field. What dies is started again; Ctrl-C ends everything.)");
  command->callback([&] { code = up(options); });
}

void add_down(CLI::App& app, DownOptions& options, int& code) {
  CLI::App* command = app.add_subcommand("down", "End a mesh that is up");
  command->add_option("MESH", options.mesh, "Its name, or the file it was started from (default: the only one)");
  command->add_flag("--now", options.now, "Do not let running requests finish");
  command->footer("Example:\n  tulle down shop");
  command->callback([&] { code = down(options); });
}

void add_status(CLI::App& app, StatusOptions& options, int& code) {
  CLI::App* command = app.add_subcommand("status", "Services, instances, sidecars, identities, certificates");
  command->add_option("MESH", options.access.mesh, "Name of the mesh (default: the only one)");
  command->add_option("--api", options.access.api, "Address of the control plane: https://HOST:PORT");
  command->add_option("--token-file", options.access.token_file, "File with the admin token");
  command->add_option("--ca-file", options.access.ca_file, "File with the CA of the API's certificate");
  add_format(*command, options.format);
  command->footer("Exits with 1 when something is not up.\nExamples:\n  tulle status\n  tulle status shop --output json");
  command->callback([&] { code = status(options); });
}

void add_apply(CLI::App& app, ApplyOptions& options, int& code) {
  CLI::App* command = app.add_subcommand("apply", "Create or change documents: Service, HTTPRoute, Workload");
  command->add_option("-f,--file", options.files, "File, folder, or - for standard input; several are fine")
      ->required();
  command->add_flag("--dry-run", options.dry_run, "Let the control plane check them, change nothing");
  add_format(*command, options.format);
  add_access(*command, options.access);
  command->footer("All documents are checked before the first is sent; every problem is printed with its file,\n"
                  "document and field.\nExamples:\n  tulle apply -f policies/\n  tulle get httproute kitchen -o json | tulle apply -f -");
  command->callback([&] { code = apply(options); });
}

void add_get(CLI::App& app, GetOptions& options, int& code) {
  CLI::App* command = app.add_subcommand("get", "Show documents");
  command->add_option("KIND", options.kind, "services, workloads or httproutes")->required();
  command->add_option("NAME", options.name, "One of them (default: all)");
  command->add_option("-n,--namespace", options.namespace_name, "Namespace (default: default)");
  command->add_flag("-A,--all-namespaces", options.all_namespaces, "Of every namespace");
  add_format(*command, options.format);
  add_access(*command, options.access);
  command->footer("Examples:\n  tulle get services\n  tulle get httproute kitchen --output json");
  command->callback([&] { code = get(options); });
}

void add_delete(CLI::App& app, DeleteOptions& options, int& code) {
  CLI::App* command = app.add_subcommand("delete", "Remove a document");
  command->add_option("KIND", options.kind, "service, workload or httproute")->required();
  command->add_option("NAME", options.name, "Its name")->required();
  command->add_option("-n,--namespace", options.namespace_name, "Namespace (default: default)");
  add_access(*command, options.access);
  command->footer("Example:\n  tulle delete httproute kitchen");
  command->callback([&] { code = delete_document(options); });
}

void add_logs(CLI::App& app, LogsOptions& options, int& code) {
  CLI::App* command = app.add_subcommand("logs", "What services (or their sidecars) have said");
  command->add_option("SERVICE", options.of, "Services or instances (default: all); also control-plane");
  command->add_flag("-f,--follow", options.follow, "Go on showing what comes");
  command->add_option("--lines", options.lines, "How many of the last lines (default: 100)");
  command->add_flag("--sidecars", options.sidecars, "The sidecars' lines instead: access log, errors");
  command->add_flag("--timestamps", options.timestamps, "With the time of each line");
  command->add_option("--mesh", options.mesh, "Name of the mesh (default: the only one)");
  command->footer("Examples:\n  tulle logs -f\n  tulle logs kitchen --sidecars --lines 20");
  command->callback([&] { code = logs(options); });
}

void add_exec(CLI::App& app, ExecOptions& options, int& code) {
  CLI::App* command = app.add_subcommand("exec", "Run a program where an instance runs, as its application would (root)");
  command->add_option("INSTANCE", options.instance, "As tulle status names it: kitchen-1")->required();
  command->add_option("COMMAND", options.command, "After --: what to run (default: a shell)");
  command->add_option("--mesh", options.mesh, "Name of the mesh (default: the only one)");
  command->add_flag("--sidecar", options.sidecar, "As the sidecar's user: what is called is not captured");
  command->footer("For a mesh that was started with --isolate.\n"
                  "Examples:\n  tulle exec web-1 -- curl http://kitchen:8080/\n  tulle exec kitchen-1");
  command->callback([&] { code = tulle::cli::exec(options); });
}

void add_enter(CLI::App& app, EnterOptions& options, int& code) {
  CLI::App* command = app.add_subcommand("enter", "")->group("");
  command->add_option("--network", options.network);
  command->add_option("--hosts", options.hosts);
  command->add_option("--resolver", options.resolver);
  command->add_option("--host-name", options.host_name);
  command->add_option("--directory", options.directory);
  command->add_option("--user", options.user);
  command->add_option("COMMAND", options.command)->required();
  command->callback([&] { code = enter(options); });
}

void add_install(CLI::App& parent, InterceptOptions& options, int& code) {
  CLI::App* command = parent.add_subcommand("install", "Put the rules in place; again is fine, they converge");
  command->add_flag("--tproxy", options.tproxy,
                    "Inbound by TPROXY: callers keep their address. The sidecar then needs CAP_NET_ADMIN");
  command->add_option("--inbound-port", options.inbound_port, "Where the sidecar takes what comes in")
      ->capture_default_str();
  command->add_option("--outbound-port", options.outbound_port, "Where it takes what the application calls")
      ->capture_default_str();
  command->add_option("--proxy-user", options.proxy_users, "User the sidecar runs as, by name or id; never root")
      ->capture_default_str();
  command->add_option("--proxy-group", options.proxy_groups, "Group the sidecar runs as");
  command->add_option("--exclude-user", options.excluded_users, "Users whose calls stay as they are");
  command->add_option("--include-inbound-ports", options.included_inbound, "Only these (default: all)");
  command->add_option("--exclude-inbound-ports", options.excluded_inbound, "Not these: 22,9000-9100");
  command->add_option("--exclude-outbound-ports", options.excluded_outbound, "Not calls to these ports");
  command->add_option("--include-outbound-ranges", options.included_ranges, "Only calls to these addresses");
  command->add_option("--exclude-outbound-ranges", options.excluded_ranges, "Not calls to these: 10.0.0.0/8,fd00::/8");
  command->add_option("--exclude-interfaces", options.excluded_interfaces, "Not what comes in here");
  command->add_option("--ipv6", options.ipv6, "auto, on or off")
      ->check(CLI::IsMember({"auto", "on", "off"}))->capture_default_str();
  command->add_option("--backend", options.backend, "auto (nft if it is there), nft or iptables")
      ->check(CLI::IsMember({"auto", "nft", "iptables"}))->capture_default_str();
  command->add_flag("--drop-invalid", options.drop_invalid, "Drop packets that conntrack cannot place");
  command->add_flag("--dry-run", options.dry_run, "Print what would be run, change nothing");
  command->footer("Only TCP is intercepted. UDP, and DNS with it, is left alone.\n"
                  "Examples:\n  tulle intercept install --exclude-inbound-ports 22\n"
                  "  ip netns exec shop tulle intercept install --proxy-user tulle");
  command->callback([&] { code = intercept_install(options); });
}

void add_intercept(CLI::App& app, InterceptOptions& options, int& code) {
  CLI::App* command = app.add_subcommand("intercept", "Send this network namespace's TCP through its sidecar (root)");
  command->require_subcommand(1);
  add_install(*command, options, code);
  CLI::App* show = command->add_subcommand("show", "The rules that are in place");
  add_format(*show, options.format);
  show->callback([&] { code = intercept_show(options); });
  CLI::App* remove = command->add_subcommand("remove", "Take the rules away: everything is as before");
  remove->add_flag("--dry-run", options.dry_run, "Print what would be run, change nothing");
  remove->callback([&] { code = intercept_remove(options); });
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  CLI::App app{kOverview, "tulle"};
  app.set_version_flag("--version", "tulle " + std::string(tulle::kVersion));
  app.footer(kFooter);
  app.require_subcommand(1);
  Arguments arguments;
  int code = kDone;
  add_up(app, arguments.up, code);
  add_down(app, arguments.down, code);
  add_status(app, arguments.status, code);
  add_apply(app, arguments.apply, code);
  add_get(app, arguments.get, code);
  add_delete(app, arguments.remove, code);
  add_logs(app, arguments.logs, code);
  add_intercept(app, arguments.intercept, code);
  add_exec(app, arguments.exec, code);
  add_enter(app, arguments.enter, code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  return code;
}
