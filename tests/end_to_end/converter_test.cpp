// The program that translates other tools' files is one of its own: what trainer and predictor say when it is missing,
// broken or ended.
#include "end_to_end/tools.h"

namespace kiln {
namespace {

class Converter : public Tools {
 protected:
  void SetUp() override {
    Tools::SetUp();
    fs::copy_file(kTools + "/mlp_predict", path("mlp_predict"));
    std::ofstream(path("model.h5")) << "no HDF5";
    std::ofstream(path("test.csv")) << "pixel0\n1\n";
  }
  /// Puts a shell script in the converter's place, beside the predictor.
  void script(const std::string& text) const {
    const fs::path program = path("kiln_convert");
    std::ofstream(program) << "#!/bin/sh\n" << text << "\n";
    fs::permissions(program, fs::perms::owner_all);
  }
  void refused(int code, const std::string& message, const std::string& environment = "") const {
    const Result result = shell(environment + " ./mlp_predict --model=model.h5 --test test.csv");
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_EQ(result.err, "mlp_predict: error: " + message + "\n");
  }
  std::string own() const { return fs::canonical(path(".")).string() + "/kiln_convert"; }
};

TEST_F(Converter, ThatIsMissingIsSaid) {
  refused(1,
          "kiln_convert, which reads and writes other tools' files, cannot be run (No such file or directory): it "
          "belongs beside this program or on PATH",
          "PATH=/nowhere");
}

TEST_F(Converter, IsFoundOnThePath) {
  refused(3, "model.h5: is no HDF5 file", "PATH=" + kTools);
  // Beside the program it is preferred.
  script("echo 'kiln_convert: error: mine' >&2; exit 3");
  refused(3, "mine", "PATH=" + kTools + ":$PATH");
}

TEST_F(Converter, ItsErrorIsTheProgramsOwnInOneLine) {
  script("echo 'kiln_convert: error: node 7 is odd' >&2; echo more >&2; exit 3");
  refused(3, "node 7 is odd");
  script("printf 'no prefix, no newline' >&2; exit 2");
  refused(2, "no prefix, no newline");
}

TEST_F(Converter, ThatEndsWithoutAnAnswerIsSaid) {
  script("exit 7");
  refused(1, own() + " ended with exit code 7 and without an answer");
  script("kill -9 $$");
  refused(1, own() + " was ended by signal 9");
}

TEST_F(Converter, WhoseEndNobodyIsToldIsAFailure) {
  script("exit 0");
  refused(1, "how a child process ended cannot be known: No child processes", "env --ignore-signal=CHLD");
}

TEST_F(Converter, AFileNamedLikeAFlagIsAFile) {
  script("for argument; do echo \"kiln_convert: error: $argument\" >&2; exit 3; done");
  fs::rename(path("model.h5"), path("-x.h5"));
  const Result result = shell("./mlp_predict --model=-x.h5 --test test.csv");
  EXPECT_EQ(result.err, "mlp_predict: error: ./-x.h5\n");
}

TEST_F(Converter, WhatItReadsAndWritesAreTheStreams) {
  script("echo \"kiln_convert: error: $# $2 $3 $4, $(head -c 8)\" >&2; exit 3");
  refused(3, "4 - --like -, KILNFILE");
}

}  // namespace
}  // namespace kiln
