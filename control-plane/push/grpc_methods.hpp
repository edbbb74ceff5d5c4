// GrpcMethods: which Service answers which gRPC method of a port. A Service itself.
//
// Owns nothing but the table; it must outlive the server's streams, and so must the services in it.
// Anything else is answered as gRPC clients expect it: UNIMPLEMENTED. Clients rely on that when they
// try what a server may not have.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/http/connection.hpp"

namespace tulle::push {

class GrpcMethods final : public Service {
 public:
  explicit GrpcMethods(Loop& loop) : loop_(loop) {}

  // `path`: "/package.Service/Method".
  void add(std::string_view path, Service& service) { methods_.emplace(path, &service); }

  std::unique_ptr<Task> serve(StreamRef stream) override;

 private:
  Loop& loop_;
  std::map<std::string, Service*, std::less<>> methods_;
};

}  // namespace tulle::push
