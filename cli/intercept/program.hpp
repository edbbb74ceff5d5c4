// run_program: one program of the system, run to its end, with all it says. Blocks the thread.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace tulle::cli {

struct Program {
  std::vector<std::string> command;  // looked up in PATH, and where system programs are kept
  std::string input;                 // its standard input
};

struct ProgramEnd {
  int status = 0;       // the exit status; 128 + n when signal n ended it
  std::string output;   // standard output
  std::string complaint;  // standard error, trimmed
  bool clean() const { return status == 0; }
};

// Errors: not_found (there is no such program), io_error.
Result<ProgramEnd> run_program(const Program& program);
bool has_program(const std::string& name);

}  // namespace tulle::cli
