// Problem: one thing that is wrong with a configuration, and where. Problems: a list of them.
//
// Every reader and compile step reports all problems it can see, not only the first. The text is
// for people and stable enough to be tested:  <resource>: <field path>: <message>
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tulle::config {

struct Problem {
  enum class Kind : uint8_t {
    invalid,      // malformed, out of range, missing
    unsupported,  // understood, but the sidecar cannot enforce it; never silently ignored
    dangling,     // refers to something that is not there
    unreadable,   // a file that is missing, unreadable or holds the wrong thing
  };
  Kind kind = Kind::invalid;
  std::string resource;  // `static_resources[2] Cluster "web"`; empty: the bootstrap file itself
  std::string path;      // "load_assignment.endpoints[0].lb_endpoints[1]"; empty: the whole of it
  std::string message;

  std::string text() const;
};

using Problems = std::vector<Problem>;

// One line per problem.
std::string to_text(const Problems& problems);

// Where a check stands: a resource, a path inside it and the list that collects. Cheap to copy;
// the list must outlive it.
class Place {
 public:
  Place(Problems& problems, std::string resource)
      : problems_(&problems), resource_(std::make_shared<const std::string>(std::move(resource))) {}

  Place field(std::string_view name) const;  // path + ".name"
  Place at(size_t index) const;              // path + "[index]"
  Place key(std::string_view key) const;     // path + "[\"key\"]"

  void invalid(std::string message) const;
  void unsupported(std::string message = "not supported yet") const;
  void dangling(std::string message) const;
  void unreadable(std::string message) const;

  size_t problem_count() const { return problems_->size(); }
  const std::string& resource() const { return *resource_; }
  const std::string& path() const { return path_; }

 private:
  void report(Problem::Kind kind, std::string message) const;

  Problems* problems_;
  std::shared_ptr<const std::string> resource_;
  std::string path_;
};

// The candidate nearest to `word` by edit distance, or nothing when none is near. For
// `did you mean "..."?`.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace tulle::config
