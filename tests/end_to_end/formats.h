#pragma once

#include <algorithm>
#include <iostream>

#include "end_to_end/tools.h"

/// What tests of other tools' files share: built programs, run as a user runs them, and those tools.
namespace kiln {

inline const std::string kPython = KILN_SOURCE_DIR "/.deps/formats/bin/python";

inline void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// A folder with rows to train and test on and a trained digit network, the same for all tests.
class Formats : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name = (fs::temp_directory_path() / "kiln-formats-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    ASSERT_EQ(run("digits_train --export-digits data --digits 256").exit_code, 0);
    const Result trained = run(
        "digits_train --train data/train.csv --epochs 2 --validation-split 0 --quiet --run-folder run --save model.h5");
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    ASSERT_EQ(run("kiln_convert run/last.kiln model.keras").exit_code, 0);
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static std::string path(const std::string& name) { return (folder_ / name).string(); }

  static Result shell(const std::string& line) {
    const int status = std::system(("cd " + folder_.string() + " && " + line + " >out.txt 2>err.txt").c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents(folder_ / "out.txt"), contents(folder_ / "err.txt")};
  }
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

  inline static fs::path folder_;
};

#define REQUIRE_TOOLS() \
  if (no_python())      \
  GTEST_SKIP() << "NOT CHECKED against the real tools: there is no " << kPython << " (./run test makes it)"

}  // namespace kiln
