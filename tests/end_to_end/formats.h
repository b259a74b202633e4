#pragma once

#include <algorithm>
#include <iostream>
#include <memory>

#include "end_to_end/tools.h"

/// What tests of other tools' files share: built programs, run as a user runs them, and those tools.
namespace kiln {

inline const std::string kPython = KILN_SOURCE_DIR "/.deps/formats/bin/python";

inline void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// A folder with rows to train and test on and a trained digit network, the same for all tests.
class Formats : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<CommandFolder>();
    ASSERT_EQ(run("digits_train --export-digits data --digits 256").exit_code, 0);
    const Result trained = run(
        "digits_train --train data/train.csv --epochs 2 --validation-split 0 --quiet --run-folder run --save model.h5");
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    ASSERT_EQ(run("kiln_convert run/last.kiln model.keras").exit_code, 0);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string path(const std::string& name) { return folder_->path(name); }

  static Result shell(const std::string& line) { return folder_->run(line); }
  static Result run(const std::string& command) { return shell(kTools + "/" + command); }

  static bool no_python() { return !fs::exists(kPython); }

  /// Checks of a script beside the tests, divided by "+".
  static void check(const std::string& checks, const std::string& script = "keras_check.py") {
    const Result result = shell(kPython + " " KILN_SOURCE_DIR "/tests/end_to_end/" + script + " " + checks);
    EXPECT_EQ(result.exit_code, 0) << checks << "\n" << result.out << result.err;
    std::cout << result.out;
  }

  static void refused(const std::string& command, int code, const std::string& message) {
    const Result result = run(command);
    EXPECT_EQ(result.exit_code, code) << command << "\n" << result.err;
    EXPECT_NE(result.err.find(message), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }

  inline static std::unique_ptr<CommandFolder> folder_;
};

#define REQUIRE_TOOLS() \
  if (no_python())      \
  GTEST_SKIP() << "NOT CHECKED against the real tools: there is no " << kPython << " (./run test makes it)"

}  // namespace kiln
