#include "cli/render/table.hpp"

#include <algorithm>

namespace tulle::cli {

size_t shown_width(std::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033') {
      while (i < text.size() && text[i] != 'm') ++i;
    } else if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) {
      ++width;  // not a continuation byte
    }
  }
  return width;
}

std::string padded(std::string_view text, size_t width) {
  const size_t shown = shown_width(text);
  return std::string(text).append(shown < width ? width - shown : 0, ' ');
}

std::string Table::text() const {
  std::vector<size_t> widths;
  for (const std::string& heading : headings_) widths.push_back(shown_width(heading));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], shown_width(row[i]));
  }
  std::string text;
  const auto line = [&](const std::vector<std::string>& cells) {
    for (size_t i = 0; i < cells.size(); ++i) {
      const bool last = i + 1 == cells.size();
      text += last ? cells[i] : padded(cells[i], widths[i]) + "  ";
    }
    while (text.ends_with(' ')) text.pop_back();
    text += '\n';
  };
  line(headings_);
  for (const auto& row : rows_) line(row);
  return text;
}

std::string age(int64_t seconds) {
  if (seconds < 0) return "-" + age(-seconds);
  if (seconds < 120) return std::to_string(seconds) + "s";
  if (seconds < 120 * 60) return std::to_string(seconds / 60) + "m";
  if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86400) + "d";
}

}  // namespace tulle::cli
