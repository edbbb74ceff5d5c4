#include "cli/render/palette.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>

namespace tulle::cli {

Palette Palette::of(int descriptor) {
  const char* never = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal != nullptr && std::string_view(terminal) == "dumb";
  return Palette(::isatty(descriptor) == 1 && (never == nullptr || *never == '\0') && !dumb);
}

std::string Palette::paint(std::string_view code, std::string_view text) const {
  if (!colour_ || text.empty()) return std::string(text);
  return std::string("\033[").append(code).append("m").append(text).append("\033[0m");
}

std::string Palette::nth(size_t number, std::string_view text) const {
  static constexpr std::array<std::string_view, 6> kCodes = {"36", "33", "35", "34", "32", "96"};
  return paint(kCodes[number % kCodes.size()], text);
}

std::string without_controls(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == 0x1b) {
      // CSI: ESC [ parameters final. Anything else after ESC is dropped with its next byte.
      if (++i < text.size() && text[i] == '[') {
        while (++i < text.size() && (text[i] < 0x40 || text[i] > 0x7e)) {
        }
      }
    } else if (c == '\t' || (c >= 0x20 && c != 0x7f)) {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

}  // namespace tulle::cli
