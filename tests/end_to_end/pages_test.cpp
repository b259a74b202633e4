// The pages that users see, in real headless Chromium: Debian's, driven by Playwright, which `./run test` installs.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace kiln {
namespace {

namespace fs = std::filesystem;

const std::string kTools = KILN_BINARY_DIR;
const std::string kPython = KILN_SOURCE_DIR "/.deps/pages/bin/python";

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A folder with a run that learnt the built-in digits well enough to read those of others, profiled.
class Pages : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name = (fs::temp_directory_path() / "kiln-pages-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    ASSERT_EQ(shell(kTools + "/digits_train --digits 10000 --epochs 6 --profile --json --run-folder run"), 0)
        << contents(folder_ / "err.txt");
    std::istringstream lines(contents(folder_ / "out.txt"));
    for (std::string line; std::getline(lines, line);) {
      if (const nlohmann::json object = nlohmann::json::parse(line); object.contains("val_accuracy"))
        accuracy_ = object.at("val_accuracy");
    }
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static int shell(const std::string& line) {
    const int status = std::system(("cd " + folder_.string() + " && " + line + " >out.txt 2>err.txt").c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  static void check(const std::string& arguments) {
    EXPECT_EQ(shell(kPython + " " KILN_SOURCE_DIR "/tests/end_to_end/pages_check.py " + arguments), 0)
        << contents(folder_ / "out.txt") << contents(folder_ / "err.txt");
    std::cout << contents(folder_ / "out.txt");
  }

  static fs::path folder_;
  static double accuracy_;
};

fs::path Pages::folder_;
double Pages::accuracy_ = 0;

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
