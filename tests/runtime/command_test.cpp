#include "command.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <fstream>
#include <sstream>

#include "error.h"

namespace kiln {
namespace {

TEST(Command, DurationsAreShownAsPeopleSayThem) {
  EXPECT_EQ(format_duration(0), "0.0s");
  EXPECT_EQ(format_duration(59.5), "59.5s");
  EXPECT_EQ(format_duration(59.96), "1m 0s");  // not 60.0s
  EXPECT_EQ(format_duration(60), "1m 0s");
  EXPECT_EQ(format_duration(125.4), "2m 5s");
  EXPECT_EQ(format_duration(3599.4), "59m 59s");
  EXPECT_EQ(format_duration(3599.6), "1h 0m 0s");
  EXPECT_EQ(format_duration(7384), "2h 3m 4s");
}

TEST(Command, WhatCannotBePrintedIsAFailureOfWorkThatWasDone) {
  std::ofstream full("/dev/full");
  std::ostringstream err;
  EXPECT_EQ(run_command("it", full, err, [] { return 0; }), 0) << "it printed nothing";
  const auto print = [&] {
    full << "text";  // which stays in a buffer
    return 0;
  };
  EXPECT_EQ(run_command("it", full, err, print), 1);
  EXPECT_EQ(err.str(), "it: error: standard output cannot be written\n");
  // Other ends keep their codes and their one line.
  err.str("");
  EXPECT_EQ(run_command("it", full, err, [] { return 130; }), 130);
  EXPECT_EQ(run_command("it", full, err, []() -> int { throw DataError("it is no file"); }), 3);
  EXPECT_EQ(err.str(), "it: error: it is no file\n");
}

TEST(Command, TakesAThreadForEachProcessorThatItMayUse) {
  EXPECT_EQ(thread_count(3), 3);
  cpu_set_t before, one;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(thread_count(0), CPU_COUNT(&before));
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(thread_count(0), 1);
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
}

}  // namespace
}  // namespace kiln
