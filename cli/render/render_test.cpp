#include <gtest/gtest.h>

#include "cli/render/palette.hpp"
#include "cli/render/table.hpp"

namespace tulle::cli {
namespace {

TEST(Table, AlignsWhatATerminalShows) {
  Table table({"NAME", "STATE", "WHY"});
  table.row({Palette(true).good("kitchen-1"), "up", ""});
  table.row({"küche", "restarting", "status 3"});
  EXPECT_EQ(without_controls(table.text()).size() + 9, table.text().size() - 3)
      << "three line ends, nine bytes of colour";
  EXPECT_EQ(table.text(),
            "NAME       STATE       WHY\n"
            "\033[32mkitchen-1\033[0m  up\n"
            "küche      restarting  status 3\n");
}

TEST(Palette, WithoutColourTextIsAsItWas) {
  EXPECT_EQ(Palette(false).bad("x"), "x");
  EXPECT_EQ(Palette(true).bad("x"), "\033[31mx\033[0m");
  EXPECT_EQ(Palette(true).nth(1, "a"), Palette(true).nth(7, "a"));
}

TEST(WithoutControls, LeavesNothingThatSteersATerminal) {
  EXPECT_EQ(without_controls("a\033[31mred\033[0m\x07\r\tb\033]0;title"), "ared\tb0;title");
  EXPECT_EQ(without_controls("\033"), "");
}

TEST(Age, IsShort) {
  EXPECT_EQ(age(0), "0s");
  EXPECT_EQ(age(119), "119s");
  EXPECT_EQ(age(600), "10m");
  EXPECT_EQ(age(86400), "24h");
  EXPECT_EQ(age(10 * 86400), "10d");
  EXPECT_EQ(age(-60), "-60s");
}

}  // namespace
}  // namespace tulle::cli
