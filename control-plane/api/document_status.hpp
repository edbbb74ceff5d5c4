// document_status: the `status` of a document, computed when it is read. Nothing of it is stored.
#pragma once

#include <string>

#include "control-plane/api/api.hpp"

namespace tulle::api {

// A JSON object: conditions Accepted, ResolvedRefs and Programmed, and how many of the sidecars that
// use the document have acknowledged it.
std::string document_status(const Sources& sources, const model::Document& document);

}  // namespace tulle::api
