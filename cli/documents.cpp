#include "cli/documents.hpp"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>

#include "cli/run_directory.hpp"

namespace tulle::cli {
namespace fs = std::filesystem;
namespace {

bool is_document_file(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

// The files of a folder, in the order of their names; a problem when there are none.
std::vector<fs::path> files_of(const fs::path& path, std::vector<std::string>& problems) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return {path};
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    if (entry.is_regular_file() && is_document_file(entry.path())) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  if (files.empty()) {
    problems.push_back(path.string() + ": the folder has no *.yaml, *.yml or *.json");
  }
  return files;
}

class Reader {
 public:
  explicit Reader(FoundDocuments& found) : found_(found) {}

  void read(const std::string& text, const std::string& origin) {
    model::DocumentsRead read = model::read_documents(text, origin);
    for (const model::Problem& problem : read.problems) found_.problems.push_back(problem.text());
    for (model::Document& document : read.documents) {
      const auto [first, fresh] = origins_.emplace(document.key(), origin);
      if (!fresh) {
        found_.problems.push_back(origin + ": " + shown_name(document) + " is in " +
                                  first->second + " already");
      }
      found_.documents.push_back(std::move(document));
    }
  }

 private:
  FoundDocuments& found_;
  std::map<model::Key, std::string> origins_;
};

}  // namespace

FoundDocuments find_documents(const std::vector<std::string>& paths, const std::string& base) {
  FoundDocuments found;
  Reader reader(found);
  for (const std::string& path : paths) {
    if (path == "-") {
      reader.read(std::string(std::istreambuf_iterator<char>(std::cin), {}), "standard input");
      continue;
    }
    const fs::path whole = (fs::path(base) / path).lexically_normal();
    for (const fs::path& file : files_of(whole, found.problems)) {
      Result<std::string> text = read_whole_file(file.string());
      if (text) {
        reader.read(*text, file.string());
      } else {
        found.problems.push_back(text.error().detail);
      }
    }
  }
  std::ranges::stable_sort(found.documents, {}, &model::Document::kind);
  return found;
}

std::string shown_name(const model::Document& document) {
  return std::string(model::name_of(document.kind())) + " " + document.metadata.namespace_name +
         "/" + document.metadata.name;
}

}  // namespace tulle::cli
