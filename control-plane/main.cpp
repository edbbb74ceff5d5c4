// tulle-control-plane: flags, then the composition root. Exit codes: 0 done, 1 could not start, 2 usage.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "control-plane/config.hpp"
#include "control-plane/control_plane.hpp"
#include "core/net/loop.hpp"
#include "tulle/version.hpp"

namespace {

int complain(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  std::fprintf(stderr, "tulle-control-plane: %s\n", text.c_str());
  return 1;
}

int serve(tulle::ControlPlaneConfig config) {
  tulle::Loop loop(tulle::make_uv_engine());
  tulle::Result<std::unique_ptr<tulle::ControlPlane>> control_plane =
      tulle::ControlPlane::start(loop, std::move(config));
  if (!control_plane) return complain(control_plane.error().detail);
  loop.run();
  control_plane->reset();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The control plane of Tulle: store, API, certificate authority and discovery."};
  app.set_version_flag("--version", "tulle-control-plane " + std::string(tulle::kVersion));
  std::string path;
  bool only_check = false;
  app.add_option("-c,--config", path, "Configuration file (JSON); see control-plane/README.md")
      ->required();
  app.add_flag("--check", only_check, "Validate the file, then exit");
  app.footer("Signals: TERM or INT ends it (twice: at once).");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  signal(SIGPIPE, SIG_IGN);
  tulle::ControlPlaneConfigRead read = tulle::read_control_plane_config_file(path);
  if (!read.config) return complain(tulle::config::to_text(read.problems));
  if (!only_check) return serve(std::move(*read.config));
  std::printf("%s: valid\n", path.c_str());
  return 0;
}
