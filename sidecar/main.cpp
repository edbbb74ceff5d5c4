// tulle-sidecar: flags, then the composition root. Exit codes: 0 done, 1 could not start, 2 usage.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/net/loop.hpp"
#include "sidecar/config/load.hpp"
#include "sidecar/sidecar.hpp"
#include "tulle/version.hpp"

namespace {

int complain(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  std::fprintf(stderr, "tulle-sidecar: %s\n", text.c_str());
  return 1;
}

int check(const std::string& path) {
  const tulle::config::Loaded loaded = tulle::config::load(path);
  if (loaded.snapshot == nullptr) return complain(tulle::config::to_text(loaded.problems));
  std::printf("%s: valid, %zu listeners, %zu clusters, version %s\n", path.c_str(),
              loaded.snapshot->listeners.size(), loaded.snapshot->cluster_names.size(),
              loaded.snapshot->version.c_str());
  return 0;
}

int serve(const std::string& path) {
  tulle::Loop loop(tulle::make_uv_engine());
  tulle::Result<std::unique_ptr<tulle::Sidecar>> sidecar = tulle::Sidecar::start(loop, path);
  if (!sidecar) return complain(sidecar.error().detail);
  loop.run();
  sidecar->reset();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The data plane of Tulle: a proxy beside one service instance."};
  app.set_version_flag("--version", "tulle-sidecar " + std::string(tulle::kVersion));
  std::string path;
  bool only_check = false;
  app.add_option("-c,--config", path, "Bootstrap file (JSON); see docs/configuration.md")
      ->required();
  app.add_flag("--check", only_check, "Validate the file and everything it mentions, then exit");
  app.footer("Signals: TERM or INT drains and ends (twice: at once), HUP reloads the file.\n"
             "The file and the certificates it names are also reloaded when they change.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  signal(SIGPIPE, SIG_IGN);
  return only_check ? check(path) : serve(path);
}
