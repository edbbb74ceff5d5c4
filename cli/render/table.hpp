// Table: aligned columns of text. Widths count characters as a terminal shows them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tulle::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  // The last column is not padded; two blanks between columns. Lines end with '\n'.
  std::string text() const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<std::string>> rows_;
};

size_t shown_width(std::string_view text);  // colour sequences count nothing, UTF-8 one each
std::string padded(std::string_view text, size_t width);
std::string age(int64_t seconds);           // "12s", "5m", "3h", "4d"

}  // namespace tulle::cli
