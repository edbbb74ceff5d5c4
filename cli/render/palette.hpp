// Palette: colour, or none. One decision for a whole command, taken where its output goes.
#pragma once

#include <string>
#include <string_view>

namespace tulle::cli {

class Palette {
 public:
  explicit Palette(bool colour) : colour_(colour) {}
  // Colour only on a terminal, and not when NO_COLOR is set or TERM is dumb.
  static Palette of(int descriptor);

  bool colour() const { return colour_; }
  std::string bold(std::string_view text) const { return paint("1", text); }
  std::string dim(std::string_view text) const { return paint("2", text); }
  std::string good(std::string_view text) const { return paint("32", text); }
  std::string bad(std::string_view text) const { return paint("31", text); }
  std::string warn(std::string_view text) const { return paint("33", text); }
  // One of a few colours that tell names apart; always the same for the same number.
  std::string nth(size_t number, std::string_view text) const;

 private:
  std::string paint(std::string_view code, std::string_view text) const;
  bool colour_;
};

// What a terminal shows of it: colour sequences removed, and control characters that a program's
// output or a server's answer could steer the terminal with.
std::string without_controls(std::string_view text);

}  // namespace tulle::cli
