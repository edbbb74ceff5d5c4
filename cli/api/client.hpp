// ApiClient: requests to the control plane's API, and what its refusals mean to a person.
//
// Owns the pool of connections. A call's outcome is an answer (any status) or an Error whose detail
// says what to do. Tasks on one loop: ApiCall wakes its owner when done().
#pragma once

#include <memory>
#include <string>

#include "cli/api/access.hpp"
#include "core/http/client.hpp"

namespace tulle::cli {

struct ApiRequest {
  Method method = Method::get;
  std::string path;          // "/v1/services"
  std::string body;          // JSON; empty: none
};

struct ApiAnswer {
  int status = 0;
  std::string body;
  bool accepted() const { return status >= 200 && status < 300; }
};

class ApiClient;

class ApiCall {
 public:
  ApiCall(ApiClient& client, const ApiRequest& request, Task& owner);
  bool done() const { return call_.done(); }
  Result<ApiAnswer> take();  // when done()

 private:
  ApiClient& client_;
  Call call_;
};

class ApiClient {
 public:
  ApiClient(Loop& loop, Network& network, ApiAccess access);
  const ApiAccess& access() const { return access_; }

 private:
  friend class ApiCall;
  CallRequest make(const ApiRequest& request) const;
  Loop& loop_;
  const ApiAccess access_;
  Pool pool_;
};

// The lines a person is shown about a refusal: title and detail, then one line per problem.
std::string describe_refusal(const ApiAnswer& answer);
// "/v1/namespaces/default/services/orders"
std::string document_path(std::string_view plural, std::string_view namespace_name,
                          std::string_view name);

}  // namespace tulle::cli
