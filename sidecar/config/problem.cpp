#include "sidecar/config/problem.hpp"

#include <algorithm>
#include <numeric>

namespace tulle::config {

namespace {

// Edit distance: letters changed, left out, added, or two neighbours exchanged ("prots"). Words are
// field names: short.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before_last(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      const bool exchanged = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (exchanged) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string Problem::text() const {
  std::string text;
  for (const std::string* part : {&resource, &path}) {
    if (!part->empty()) text.append(*part).append(": ");
  }
  return text.append(message);
}

std::string to_text(const Problems& problems) {
  std::string text;
  for (const Problem& problem : problems) text.append(problem.text()).push_back('\n');
  return text;
}

Place Place::field(std::string_view name) const {
  Place place = *this;
  if (!place.path_.empty()) place.path_.push_back('.');
  place.path_.append(name);
  return place;
}

Place Place::at(size_t index) const {
  Place place = *this;
  place.path_.append("[").append(std::to_string(index)).append("]");
  return place;
}

Place Place::key(std::string_view key) const {
  Place place = *this;
  place.path_.append("[\"").append(key).append("\"]");
  return place;
}

void Place::invalid(std::string message) const {
  report(Problem::Kind::invalid, std::move(message));
}

void Place::unsupported(std::string message) const {
  report(Problem::Kind::unsupported, std::move(message));
}

void Place::dangling(std::string message) const {
  report(Problem::Kind::dangling, std::move(message));
}

void Place::unreadable(std::string message) const {
  report(Problem::Kind::unreadable, std::move(message));
}

void Place::report(Problem::Kind kind, std::string message) const {
  problems_->push_back({kind, *resource_, path_, std::move(message)});
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  if (word.size() > 64) return {};
  std::string_view best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    const size_t found = distance(word, candidate);
    if (found < best_distance) {
      best = candidate;
      best_distance = found;
    }
  }
  return best;
}

}  // namespace tulle::config
