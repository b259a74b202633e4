// The pages that users see, in real headless Chromium: Debian's, driven by Playwright, which `./run test` installs.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/command_folder.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

const std::string kPython = KILN_SOURCE_DIR "/.deps/pages/bin/python";

/// A folder with a run that learnt the built-in digits well enough to read those of others, profiled.
class Pages : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<CommandFolder>();
    const Result trained =
        folder_->run(kTools + "/digits_train --digits 10000 --epochs 6 --profile --json --run-folder run");
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    std::istringstream lines(trained.out);
    for (std::string line; std::getline(lines, line);) {
      if (const nlohmann::json object = nlohmann::json::parse(line); object.contains("val_accuracy"))
        accuracy_ = object.at("val_accuracy");
    }
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static void check(const std::string& arguments) {
    const Result result = folder_->run(kPython + " " KILN_SOURCE_DIR "/tests/end_to_end/pages_check.py " + arguments);
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    std::cout << result.out;
  }

  inline static std::unique_ptr<CommandFolder> folder_;
  inline static double accuracy_ = 0;
};

#define REQUIRE_CHROMIUM()                                                        \
  if (!fs::exists(kPython) || std::system("command -v chromium >/dev/null") != 0) \
  GTEST_SKIP() << "NOT CHECKED in a browser: there is no chromium or no " << kPython << " (./run test installs them)"

TEST_F(Pages, EachDigitThatIsDrawnIsRecognised) {
  REQUIRE_CHROMIUM();
  check("draw " + kTools + "/digits_predict run/model.kiln");
}

TEST_F(Pages, TheReportIsWholeAndRight) {
  REQUIRE_CHROMIUM();
  std::ostringstream percent;
  percent.precision(2);
  percent << std::fixed << 100 * accuracy_ << "%";
  check("report run/report.html " + percent.str());
}

}  // namespace
}  // namespace kiln
