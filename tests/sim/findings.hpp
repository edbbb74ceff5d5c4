// Findings: what was wrong in a run, in words. Empty is right.
#pragma once

#include <string>
#include <vector>

namespace tulle::sim {

class Findings {
 public:
  void add(std::string what) {
    if (list_.size() < kMost) list_.push_back(std::move(what));
  }
  // The argument is made into words only when the condition does not hold.
  template <class Words>
  void expect(bool condition, Words words) {
    if (!condition) add(words());
  }
  bool empty() const { return list_.empty(); }
  std::string text() const {
    std::string out;
    for (const std::string& line : list_)
      out += "  " + line + "\n";
    return out;
  }

 private:
  static constexpr size_t kMost = 20;  // one mistake can be seen in a hundred places
  std::vector<std::string> list_;
};

}  // namespace tulle::sim
