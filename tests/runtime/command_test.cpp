#include "command.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <CLI/CLI.hpp>
#include <array>
#include <fstream>
#include <sstream>

#include "error.h"
#include "fake_model.h"

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

std::string usage_error(const std::vector<std::string>& arguments) {
  CLI::App app;
  std::string train;
  std::vector<std::string> many;
  bool quiet = false;
  int epochs = 0;
  app.add_option("-t,--train", train);
  app.add_option("--many", many);
  app.add_option("--epochs", epochs)->check(number_from(-20, 1000));
  app.add_flag("--quiet", quiet);
  add_config_file(app);
  try {
    parse_flags(app, arguments);
  } catch (const UsageError& error) {
    return error.what();
  }
  return fmt::format("train '{}', epochs {}", train, epochs);
}

TEST(Command, AnEmptyValueIsNotTakenForAFlagThatWasNotGiven) {
  EXPECT_EQ(usage_error({}), "train '', epochs 0");
  EXPECT_EQ(usage_error({"--train", "a", "--quiet"}), "train 'a', epochs 0");
  const std::string empty = "--train: is empty; give it a value or leave it out";
  EXPECT_EQ(usage_error({"--train", ""}), empty);
  EXPECT_EQ(usage_error({"-t", ""}), empty);
  EXPECT_EQ(usage_error({"--train", "", "--quiet"}), empty);
  EXPECT_NE(usage_error({"--train="}), "train '', epochs 0");
  EXPECT_EQ(usage_error({"--many", "a", ""}), "--many: is empty; give it a value or leave it out");
  EXPECT_EQ(usage_error({"--config", ""}), "--config: is empty; give it a value or leave it out");
  const TemporaryFolder folder;
  const std::string path = folder.file("flags");
  for (const char* line : {"train = \"\"\n", "train = ''\n", "train =\n"}) {
    std::ofstream(path) << line;
    EXPECT_EQ(usage_error({"--config", path}), empty) << line;
  }
}

TEST(Command, AValueInAFileIsOneValue) {
  const TemporaryFolder folder;
  const std::string path = folder.file("flags");
  for (const char* value : {"rotation=10,shift=2", "my file.csv", "a, b"}) {
    std::ofstream(path) << "train = " << value << "\n";
    EXPECT_EQ(usage_error({"--config", path}), fmt::format("train '{}', epochs 0", value));
  }
}

TEST(Command, ANumberThatBeginsWithAZeroIsNotOctal) {
  for (const auto& [text, written] : {std::pair("010", "10"),
                                      {"017", "17"},
                                      {"08", "8"},
                                      {"00", "0"},
                                      {"-010", "-10"},
                                      {"000123", "123"},
                                      {"+07", "+7"},
                                      {"00.5", "0.5"}}) {
    EXPECT_EQ(usage_error({std::string("--epochs=") + text}),
              fmt::format("--epochs: '{}' begins with a zero; write {}; see --help", text, written));
  }
  for (const char* text : {"0", "-0", "10", "100", "-10"})
    EXPECT_EQ(usage_error({std::string("--epochs=") + text}), fmt::format("train '', epochs {}", std::stoi(text)));
  EXPECT_EQ(number_from(0, 1)("0.5"), "");
  EXPECT_EQ(number_from(0, 1)("0"), "");
  EXPECT_EQ(number_from(0, 1)("0e1"), "");
  for (const char* text : {"0x10", "0b1", "0o7", "", "-"})
    EXPECT_EQ(number_from(0, 100)(text), fmt::format("'{}' is not a number from 0 to 100", text));
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

TEST(Command, WhatIsNoFileMayBeReadAndWritten) {
  const std::string terminal = "/dev/null", none;
  EXPECT_NO_THROW(require_other_files(
      std::array{FlagFile{"--test", terminal}, FlagFile{"--labels", none}},
      std::array{FlagFile{"--out", terminal}, FlagFile{"--save", none}, FlagFile{"--probabilities", terminal}}));
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
