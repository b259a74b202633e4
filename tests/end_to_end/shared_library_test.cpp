// libdigits.so from C and from Python, as the examples use it, against the predictor.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "data/dataset.h"
#include "support/command_folder.h"

namespace kiln {
namespace {

const std::string kSource = KILN_SOURCE_DIR;

class SharedLibrary : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run(kTools + "/digits_train --digits 500 --epochs 1 --quiet --run-folder run"), 0) << output();
    ASSERT_EQ(run(kTools + "/digits_train --export-digits digits --digits 100 --quiet"), 0) << output();
    const Dataset test = load_dataset(folder_.path("digits/test.csv"), {28, 28, 1}, 10);
    std::ofstream(folder_.path("rows"), std::ios::binary)
        .write(reinterpret_cast<const char*>(test.pixels.data()), kRows * test.elements());
    ASSERT_EQ(run(kTools + "/digits_predict --model run/model.kiln --test digits/test.csv --out out.csv"), 0)
        << output();
    std::ifstream submission(folder_.path("out.csv"));
    std::string line;
    std::getline(submission, line);
    for (int i = 0; i < kRows && std::getline(submission, line); ++i) expected_.push_back(line.back());
  }
  int run(const std::string& command) const { return folder_.run(command).exit_code; }
  std::string output() const { return folder_.output(); }
  /// The first letter of each line that was printed: the class.
  std::string classes() const {
    std::istringstream lines(output());
    std::string result;
    for (std::string line; std::getline(lines, line);) result += line.at(0);
    return result;
  }

  static constexpr int kRows = 70;  // a batch and some
  CommandFolder folder_;
  std::string expected_;
};

TEST_F(SharedLibrary, PredictsFromC) {
  ASSERT_EQ(run("cc -Wall -Wextra -Werror -pedantic -I " + kSource + "/runtime " + kSource + "/examples/predict.c " +
                kTools + "/libdigits.so -Wl,-rpath," + kTools + " -o predict"),
            0)
      << output();
  ASSERT_EQ(run("./predict run/model.kiln rows"), 0) << output();
  EXPECT_EQ(classes(), expected_);
  ASSERT_EQ(run("./predict rows rows"), 1);
  EXPECT_EQ(output(), "rows: is no Kiln file: it does not begin with KILNFILE\n");
}

TEST_F(SharedLibrary, PredictsFromPython) {
  const std::string python = "python3 " + kSource + "/examples/predict.py " + kTools + "/libdigits.so ";
  ASSERT_EQ(run(python + "run/model.kiln rows"), 0) << output();
  EXPECT_EQ(classes(), expected_);
  EXPECT_EQ(run(python + "missing.kiln rows"), 1);
  EXPECT_NE(output().find("RuntimeError: missing.kiln: "), std::string::npos) << output();
}

TEST_F(SharedLibrary, ANegativeCountIsAnError) {
  std::ofstream(folder_.path("count.c")) << R"(
#include <stdio.h>
#include "kiln_predictor.h"
int main(void) {
  char message[100] = "";
  struct kiln_predictor* predictor = kiln_predictor_open("run/model.kiln", 1, message, sizeof message);
  int code = kiln_predictor_run(predictor, NULL, -1, NULL, message, sizeof message);
  printf("%d %s, %d\n", code, message, kiln_predictor_run(predictor, NULL, 0, NULL, NULL, 0));
  kiln_predictor_close(predictor);
})";
  ASSERT_EQ(run("cc -I " + kSource + "/runtime count.c " + kTools + "/libdigits.so -Wl,-rpath," + kTools + " -o count"),
            0)
      << output();
  ASSERT_EQ(run("./count"), 0) << output();
  EXPECT_EQ(output(), "2 -1 rows cannot be predicted, 0\n");
}

TEST_F(SharedLibrary, HasNoSymbolsButItsOwn) {
  ASSERT_EQ(run("nm -D --defined-only " + kTools + "/libdigits.so"), 0) << output();
  std::istringstream lines(output());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_NE(line.find(" kiln_predictor_"), std::string::npos) << line;
  }
  EXPECT_EQ(count, 5);
}

}  // namespace
}  // namespace kiln
