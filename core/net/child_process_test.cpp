#include "core/net/child_process.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "core/net/process_keeper.hpp"
#include "core/net/test_loop.hpp"

namespace tulle {
namespace {

class Owner : public Task {
 public:
  using Task::Task;

 private:
  void run() override {}
};

// A process that is a zombie is gone; only its parent has not looked yet.
bool alive(int pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(stat, text)) return false;
  return text[text.rfind(')') + 2] != 'Z';
}

struct Children : ::testing::Test {
  TestLoop test;
  Owner owner{test.loop};
  std::unique_ptr<ProcessStarter> starter = make_process_starter(test.loop, nullptr);

  Result<std::unique_ptr<ChildProcess>> start(std::vector<std::string> command,
                                              std::string directory = {}) {
    return starter->start({std::move(command), {{"PATH", "/usr/bin:/bin"}, {"WORD", "a b"}},
                           std::move(directory)}, owner);
  }
  std::unique_ptr<ChildProcess> shell(const std::string& script) {
    return std::move(start({"sh", "-c", script}).value());
  }
  std::string line(ChildProcess& child) {
    std::optional<ChildProcess::Line> found;
    EXPECT_TRUE(test.run_until([&] { return (found = child.take_line()).has_value(); }));
    return found ? (found->is_error ? "err:" : "out:") + found->text : "";
  }
  void wait_exit(ChildProcess& child) {
    ASSERT_TRUE(test.run_until([&] { return child.exit().has_value(); }));
  }
};

TEST_F(Children, SayLinesAndEndWithAStatus) {
  auto child = shell("echo \"$WORD\"; printf 'no end' >&2; exit 3");
  wait_exit(*child);
  ASSERT_TRUE(test.run_until([&] { return child->output_ended(); }));
  std::vector<std::string> seen = {line(*child), line(*child)};
  std::ranges::sort(seen);
  EXPECT_EQ(seen, (std::vector<std::string>{"err:no end", "out:a b"}));
  EXPECT_EQ(to_string(*child->exit()), "status 3");
  EXPECT_FALSE(child->take_line().has_value());
}

TEST_F(Children, RunWhereTheyAreTold) {
  auto child = start({"pwd"}, "/usr");
  ASSERT_TRUE(child.has_value());
  EXPECT_EQ(line(**child), "out:/usr");
}

TEST_F(Children, WhatCannotBeStartedIsAnErrorWithItsReason) {
  auto missing = start({"no-such-program-of-ours"});
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, Code::not_found);
  EXPECT_EQ(missing.error().detail, "no-such-program-of-ours: no such program in PATH");
  auto path = start({"/nowhere/x"});
  EXPECT_EQ(path.error().detail, "/nowhere/x: no such program");
  auto folder = start({"sh"}, "/nowhere");
  EXPECT_EQ(folder.error().detail, "/nowhere: no such directory");
  auto not_executable = start({"/etc/passwd"});
  EXPECT_NE(not_executable.error().detail.find("chmod +x"), std::string::npos);
}

TEST_F(Children, ALongLineIsCutAndTheNextIsWhole) {
  auto child = shell("head -c 100000 /dev/zero | tr '\\0' x; echo; echo next");
  EXPECT_EQ(line(*child).size(), 4 + ChildProcess::kLongestLine);
  EXPECT_EQ(line(*child), "out:next");
}

TEST_F(Children, ATalkativeOneWaitsForItsReader) {
  auto child = shell("i=0; while [ $i -lt 200000 ]; do echo line; i=$((i+1)); done; echo last >&2");
  test.settle();
  size_t lines = 0;
  ASSERT_TRUE(test.run_until([&] {
    const bool ended = child->output_ended();
    while (child->take_line()) ++lines;
    return ended;
  }, 60s));
  EXPECT_EQ(lines, 200001u) << "nothing is lost";
  wait_exit(*child);
  EXPECT_TRUE(child->exit()->clean());
}

TEST_F(Children, ASignalReachesTheWholeGroup) {
  auto child = shell("sleep 1000 & echo $!; wait");
  const int grandchild = std::stoi(line(*child).substr(4));
  EXPECT_TRUE(alive(grandchild));
  EXPECT_NE(getpgid(child->id()), getpgrp());
  child->signal(SIGTERM);
  wait_exit(*child);
  EXPECT_EQ(to_string(*child->exit()), "signal 15 (Terminated)");
  EXPECT_TRUE(test.run_until([&] { return !alive(grandchild); }));
}

TEST_F(Children, WhatAProcessLeavesBehindEndsWithIt) {
  auto child = shell("sleep 1000 & echo $!");
  const int left_behind = std::stoi(line(*child).substr(4));
  wait_exit(*child);
  EXPECT_TRUE(test.run_until([&] { return !alive(left_behind); }));
}

TEST_F(Children, LettingGoKills) {
  auto child = shell("trap '' TERM; echo ready; sleep 1000");
  EXPECT_EQ(line(*child), "out:ready");
  const int id = child->id();
  child.reset();
  EXPECT_TRUE(test.run_until([&] { return ::kill(id, 0) != 0; })) << "not even a zombie is left";
}

// A program like tulle: a keeper, then a loop, then children. Reports two processes and waits.
[[noreturn]] void play_supervisor(int report) {
  auto keeper = ProcessKeeper::start();
  TestLoop test;
  Owner owner{test.loop};
  auto starter = make_process_starter(test.loop, keeper.value().get());
  auto ended = starter->start({{"true"}, {{"PATH", "/usr/bin:/bin"}}, {}}, owner);
  test.run_until([&] { return ended.value()->exit().has_value(); });
  auto child = starter->start(
      {{"sh", "-c", "trap '' TERM; sleep 1000 & echo $!; wait"}, {{"PATH", "/usr/bin:/bin"}}, {}},
      owner);
  std::optional<ChildProcess::Line> line;
  test.run_until([&] { return (line = child.value()->take_line()).has_value(); });
  const int ids[3] = {child.value()->id(), std::stoi(line->text), keeper.value()->id()};
  if (::write(report, ids, sizeof ids) != sizeof ids) ::_exit(1);
  for (;;) ::pause();
}

TEST(ProcessKeeper, EndsWhatAKilledProgramLeaves) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int supervisor = ::fork();
  if (supervisor == 0) play_supervisor(ends[1]);
  int ids[3] = {0, 0, 0};
  ASSERT_EQ(::read(ends[0], ids, sizeof ids), static_cast<ssize_t>(sizeof ids));
  for (const int id : ids) EXPECT_TRUE(alive(id)) << id;
  ::kill(supervisor, SIGKILL);
  ::waitpid(supervisor, nullptr, 0);
  TestLoop test;
  for (const int id : ids) EXPECT_TRUE(test.run_until([&] { return !alive(id); })) << id;
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(ProcessKeeper, IsGoneWithItsOwner) {
  auto keeper = ProcessKeeper::start();
  ASSERT_TRUE(keeper.has_value());
  const int id = keeper.value()->id();
  EXPECT_TRUE(alive(id));
  keeper.value().reset();
  EXPECT_NE(::kill(id, 0), 0);
}

}  // namespace
}  // namespace tulle
