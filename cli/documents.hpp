// Documents from files and folders, read and checked before anything is sent.
#pragma once

#include <string>
#include <vector>

#include "control-plane/model/read.hpp"

namespace tulle::cli {

struct FoundDocuments {
  std::vector<model::Document> documents;  // Services before Workloads before HTTPRoutes
  std::vector<std::string> problems;       // every one, with file, document and path
};

// A file, a folder (its *.yaml, *.yml and *.json, by name), or "-": standard input. Relative to
// `base`. Documents that are there twice are a problem.
FoundDocuments find_documents(const std::vector<std::string>& paths, const std::string& base);

// "HTTPRoute default/kitchen"
std::string shown_name(const model::Document& document);

}  // namespace tulle::cli
