#include <stdio.h>
#include <unistd.h>

#include "cli/commands/commands.hpp"
#include "cli/render/palette.hpp"

namespace tulle::cli {

int complain(const std::string& text, int code) {
  const Palette palette = Palette::of(STDERR_FILENO);
  ::fprintf(stderr, "%s %s\n", palette.bad("tulle:").c_str(), text.c_str());
  return code;
}

int complain(const Error& error) {
  switch (error.code) {
    case Code::not_found:
    case Code::connect_failed:
    case Code::connect_timeout:
    case Code::tls_failed:
    case Code::request_timeout: return complain(error.detail, kUnreachable);
    default: return complain(error.detail, kFailed);
  }
}

}  // namespace tulle::cli
