#include "cli/up/screen.hpp"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "cli/render/table.hpp"

namespace tulle::cli {
namespace {

void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return;  // a terminal that has gone is no reason to end a mesh
    text.remove_prefix(static_cast<size_t>(written));
  }
}

winsize size_of(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    size.ws_col = 80;
    size.ws_row = 24;
  }
  return size;
}

// Of a line that may hold colour, what fits: a wrapped line could not be erased again.
std::string clipped(std::string_view line, size_t width) {
  if (shown_width(line) <= width) return std::string(line);
  return without_controls(line).substr(0, width);
}

}  // namespace

Screen Screen::of(int descriptor) {
  const bool terminal = ::isatty(descriptor) == 1;
  return Screen(descriptor, Palette::of(descriptor), terminal);
}

void Screen::write(std::string_view text) { write_all(descriptor_, text); }

void Screen::line(std::string_view text) {
  const std::string shown = shown_;
  erase();
  write(std::string(text) + "\n");
  if (copy_ >= 0) write_all(copy_, std::string(text) + "\n");
  if (!shown.empty()) {
    write(shown);
    shown_ = shown;
  }
}

void Screen::block(const std::string& text) {
  if (!live_) return;
  const winsize size = size_of(descriptor_);
  std::string fitting;
  size_t lines = 0;
  for (size_t at = 0; at < text.size() && lines + 2 < size.ws_row; ++lines) {
    const size_t end = std::min(text.find('\n', at), text.size());
    fitting += clipped(std::string_view(text).substr(at, end - at), size.ws_col) + "\n";
    at = end + 1;
  }
  if (fitting == shown_) return;
  erase();
  write(fitting);
  shown_ = fitting;
}

void Screen::erase() {
  if (shown_.empty()) return;
  const auto lines = std::ranges::count(shown_, '\n');
  // Up to its first line, then clear to the end of the screen.
  write("\033[" + std::to_string(lines) + "A\r\033[J");
  shown_.clear();
}

void Screen::keep_block() { shown_.clear(); }

}  // namespace tulle::cli
