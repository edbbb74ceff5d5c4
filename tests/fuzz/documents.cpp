// Documents as people send them: whatever the text, it is read or every refusal has a message; what
// was read is written and read again to the same document; and writing that is a fixed point.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "control-plane/model/read.hpp"

namespace tulle {
namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

void check_messages(const config::Problems& problems) {
  for (const config::Problem& problem : problems) {
    check(!problem.message.empty(), "every problem says what it is");
  }
  check(!model::problems_to_json(problems).empty(), "problems can be shown");
}

void check_round_trip(const model::Document& document) {
  const std::string written = model::to_json(document);
  const model::DocumentRead again = model::read_document(written, model::Format::json);
  check(again.document.has_value(), "what is written can be read");
  check(*again.document == document, "and says the same");
  check(model::to_json(*again.document) == written, "in the same words");
}

void run(std::string_view text) {
  for (const model::Format format : {model::Format::json, model::Format::yaml}) {
    const model::DocumentRead read = model::read_document(text, format);
    check(read.document.has_value() == read.problems.empty(), "good or explained");
    check_messages(read.problems);
    if (read.document) check_round_trip(*read.document);
  }
  const model::DocumentsRead file = model::read_documents(text, "file.yaml");
  check_messages(file.problems);
  for (const model::Document& document : file.documents) check_round_trip(document);
}

}  // namespace
}  // namespace tulle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tulle::run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
