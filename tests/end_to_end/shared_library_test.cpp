// libdigits.so from C and from Python, as the examples use it, against the predictor.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "data/dataset.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

const std::string kBuild = KILN_BINARY_DIR, kSource = KILN_SOURCE_DIR;

class SharedLibrary : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "kiln-shared-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    ASSERT_EQ(run(kBuild + "/digits_train --digits 500 --epochs 1 --quiet --run-folder run"), 0) << output();
    ASSERT_EQ(run(kBuild + "/digits_train --export-digits digits --digits 100 --quiet"), 0) << output();
    const Dataset test = load_dataset((folder_ / "digits/test.csv").string(), {28, 28, 1}, 10);
    std::ofstream(folder_ / "rows", std::ios::binary)
        .write(reinterpret_cast<const char*>(test.pixels.data()), kRows * test.elements());
    ASSERT_EQ(run(kBuild + "/digits_predict --model run/model.kiln --test digits/test.csv --out out.csv"), 0)
        << output();
    std::ifstream submission(folder_ / "out.csv");
    std::string line;
    std::getline(submission, line);
    for (int i = 0; i < kRows && std::getline(submission, line); ++i) expected_.push_back(line.back());
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// The exit code of the command in the test's folder; output() is what it printed.
  int run(const std::string& command) const {
    const int status = std::system(("cd " + folder_.string() + " && " + command + " >output 2>&1").c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string output() const {
    std::stringstream text;
    text << std::ifstream(folder_ / "output").rdbuf();
    return text.str();
  }
  /// The first letter of each line that was printed: the class.
  std::string classes() const {
    std::istringstream lines(output());
    std::string result;
    for (std::string line; std::getline(lines, line);) result += line.at(0);
    return result;
  }

  static constexpr int kRows = 70;  // a batch and some
  fs::path folder_;
  std::string expected_;
};

TEST_F(SharedLibrary, PredictsFromC) {
  ASSERT_EQ(run("cc -Wall -Wextra -Werror -pedantic -I " + kSource + "/runtime " + kSource + "/examples/predict.c " +
                kBuild + "/libdigits.so -Wl,-rpath," + kBuild + " -o predict"),
            0)
      << output();
  ASSERT_EQ(run("./predict run/model.kiln rows"), 0) << output();
  EXPECT_EQ(classes(), expected_);
  ASSERT_EQ(run("./predict rows rows"), 1);
  EXPECT_EQ(output(), "rows: is no Kiln file: it does not begin with KILNFILE\n");
}

TEST_F(SharedLibrary, PredictsFromPython) {
  const std::string python = "python3 " + kSource + "/examples/predict.py " + kBuild + "/libdigits.so ";
  ASSERT_EQ(run(python + "run/model.kiln rows"), 0) << output();
  EXPECT_EQ(classes(), expected_);
  EXPECT_EQ(run(python + "missing.kiln rows"), 1);
  EXPECT_NE(output().find("RuntimeError: missing.kiln: "), std::string::npos) << output();
}

TEST_F(SharedLibrary, HasNoSymbolsButItsOwn) {
  ASSERT_EQ(run("nm -D --defined-only " + kBuild + "/libdigits.so"), 0) << output();
  std::istringstream lines(output());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_NE(line.find(" kiln_predictor_"), std::string::npos) << line;
  }
  EXPECT_EQ(count, 5);
}

}  // namespace
}  // namespace kiln
