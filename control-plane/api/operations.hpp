// The operations behind the endpoints, by file: documents.cpp, operations.cpp, openapi.cpp.
#pragma once

#include "control-plane/api/api.hpp"

namespace tulle::api {

Step list_documents(const Sources& sources, const Request& request);
Step get_document(const Sources& sources, const Request& request);
Step put_document(const Sources& sources, const Request& request, Task& owner);
Step remove_document(const Sources& sources, const Request& request, Task& owner);

std::string openapi_json();

}  // namespace tulle::api
