// Screen: what a terminal shows: lines that scroll, above a block that is redrawn in place.
//
// Not on a terminal there is no block: only lines. Owns nothing but the count of lines drawn.
#pragma once

#include <string>
#include <string_view>

#include "cli/render/palette.hpp"

namespace tulle::cli {

class Screen {
 public:
  // `descriptor` stays the caller's. `live`: a block can be redrawn there.
  Screen(int descriptor, Palette palette, bool live)
      : descriptor_(descriptor), palette_(palette), live_(live) {}
  static Screen of(int descriptor);

  const Palette& palette() const { return palette_; }
  bool live() const { return live_; }
  void line(std::string_view text);          // whole lines, scrolling; '\n' is added
  void block(const std::string& text);       // replaces the former block; "" removes it
  void keep_block();                         // leaves what it shows; the next one is drawn below
  void copy_to(int descriptor) { copy_ = descriptor; }  // lines go there as well; -1: no longer

 private:
  void erase();
  void write(std::string_view text);
  int descriptor_;
  Palette palette_;
  bool live_;
  int copy_ = -1;
  std::string shown_;
};

}  // namespace tulle::cli
