// What each command of `tulle` does once its arguments are read. One .cpp each.
//
// Results go to standard output, everything else to standard error. Functions return an exit code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/api/access.hpp"

namespace tulle::cli {

// Documented in cli/README.md and in --help.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,        // it was tried and did not succeed
  kUsage = 2,         // wrong arguments, or a file with problems: nothing was tried
  kUnreachable = 3,   // no mesh is up, or its control plane does not answer
};

enum class Format { table, json };

struct UpOptions {
  std::string file;
  std::string name;             // empty: the file's
  std::string state_directory;  // empty: .tulle beside the file
  bool detach = false;
  bool sidecar_logs = false;
  bool check = false;           // only read the file, its policies and the commands
  std::string otlp;             // a collector for the spans of every request; empty: as the file says
  std::string zipkin;           // the same, in the other format
  bool isolate = false;         // a network namespace per instance
  bool ipv6 = false;            // ... that reach each other over IPv6
};
int up(const UpOptions& options);

struct DownOptions {
  std::string mesh;  // name, or the file it was started from; empty: the only one
  bool now = false;  // kill at once
};
int down(const DownOptions& options);

struct StatusOptions {
  AccessOptions access;
  Format format = Format::table;
};
int status(const StatusOptions& options);

struct ApplyOptions {
  AccessOptions access;
  std::vector<std::string> files;
  bool dry_run = false;
  Format format = Format::table;
};
int apply(const ApplyOptions& options);

struct GetOptions {
  AccessOptions access;
  std::string kind;
  std::string name;        // empty: all
  std::string namespace_name = "default";
  bool all_namespaces = false;
  Format format = Format::table;
};
int get(const GetOptions& options);

struct DeleteOptions {
  AccessOptions access;
  std::string kind;
  std::string name;
  std::string namespace_name = "default";
};
int delete_document(const DeleteOptions& options);

struct LogsOptions {
  std::string mesh;
  std::vector<std::string> of;  // services, groups or instances; empty: all services
  bool follow = false;
  bool sidecars = false;        // their lines instead of the services'
  bool timestamps = false;
  size_t lines = 100;           // at first, of all together
};
int logs(const LogsOptions& options);

struct ExecOptions {
  std::string instance;              // of a mesh that was started with --isolate
  std::vector<std::string> command;  // empty: a shell
  std::string mesh;
  bool sidecar = false;              // as the sidecar's user: what is called is not captured
};
int exec(const ExecOptions& options);

// How `up` starts programs in namespaces; nobody types it.
struct EnterOptions {
  std::string network, hosts, resolver, host_name, directory, user;
  std::vector<std::string> command;
};
int enter(const EnterOptions& options);

// Lists are comma-separated, as they were typed; intercept.cpp reads them.
struct InterceptOptions {
  bool tproxy = false;
  uint16_t inbound_port = 15006;
  uint16_t outbound_port = 15001;
  std::string proxy_users = "2102";
  std::string proxy_groups;
  std::string excluded_users;
  std::string included_inbound;
  std::string excluded_inbound;
  std::string excluded_outbound;
  std::string included_ranges;
  std::string excluded_ranges;
  std::string excluded_interfaces;
  std::string ipv6 = "auto";     // auto, on, off
  std::string backend = "auto";  // auto, nft, iptables
  bool drop_invalid = false;
  bool dry_run = false;
  Format format = Format::table;
};
int intercept_install(const InterceptOptions& options);
int intercept_show(const InterceptOptions& options);
int intercept_remove(const InterceptOptions& options);

// Prints "tulle: ..." to standard error, further lines indented as they are.
int complain(const std::string& text, int code);
int complain(const Error& error);  // kUnreachable when there is nobody to ask, else kFailed

}  // namespace tulle::cli
