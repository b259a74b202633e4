// Installs this build into a folder of its own, then builds and runs somebody else's project against it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "support/command_folder.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

class InstalledTree : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<CommandFolder>();
    fs::create_directories(at("run"));
    // The project is copied: nothing may be found by its place in Kiln's own tree.
    fs::copy(fs::path(KILN_SOURCE_DIR) / "tests/install/outside", at("outside"), fs::copy_options::recursive);
    fs::copy_file(KILN_SOURCE_DIR "/tests/fixtures/onnx/torch_branches.onnx", at("outside/imported.onnx"));
    std::ofstream(at("outside/imported.schedule")) << "train/conv2d.forward: tile=5\n";
    built_ = run(std::string(KILN_CMAKE) + " --install " KILN_BINARY_DIR " --prefix " + at("prefix")) == 0 &&
             run(std::string(KILN_CMAKE) + " -G Ninja -DCMAKE_MAKE_PROGRAM=" KILN_NINJA " -DCMAKE_BUILD_TYPE=Release" +
                 " -DCMAKE_PREFIX_PATH=" + at("prefix") + " -S " + at("outside") + " -B " + at("build")) == 0 &&
             run(std::string(KILN_CMAKE) + " --build " + at("build")) == 0;
  }

  static void TearDownTestSuite() { folder_.reset(); }

  void SetUp() override { ASSERT_TRUE(built_) << output(); }

  static std::string at(const std::string& name) { return folder_->path(name); }
  static std::string output() { return folder_->output(); }

  /// The command's exit code; what it printed is in output().
  static int run(const std::string& command) { return folder_->run("cd run && " + command).exit_code; }

 private:
  inline static std::unique_ptr<CommandFolder> folder_;
  inline static bool built_ = false;
};

TEST_F(InstalledTree, BuildsTheGraphOfAnOutsideProject) {
  for (const char* file :
       {"logistic/logistic.o", "logistic/logistic.h", "logistic_compile", "logistic_train", "logistic_predict"}) {
    EXPECT_TRUE(fs::exists(at("build") + "/" + file)) << file;
  }
}

TEST_F(InstalledTree, TheTrainerRuns) {
  EXPECT_EQ(run(at("build/logistic_train") + " --fast-dev-run --quiet"), 0) << output();
}

TEST_F(InstalledTree, AnOnnxModelIsAGraph) {
  EXPECT_EQ(run(at("build/imported_predict") + " --model " + at("outside/imported.onnx") +
                " --test " KILN_SOURCE_DIR "/tests/fixtures/onnx/rows.csv --probabilities out.csv"),
            0)
      << output();
}

// Beside the model, not beside the source that was made of it, and wherever the compiler is run.
TEST_F(InstalledTree, AnOnnxModelsSchedulesAreBesideIt) {
  ASSERT_EQ(run(at("build/imported_compile") + " --dump recipes --kernel conv2d.forward"), 0) << output();
  EXPECT_NE(output().find(" tile=5 "), std::string::npos) << output();
}

TEST_F(InstalledTree, TrainerAndPredictorNeedNeitherHalideNorLlvm) {
  ASSERT_EQ(run("ldd " + at("build/logistic_compile")), 0) << output();
  EXPECT_NE(output().find("libHalide"), std::string::npos) << "the check itself does not work: " << output();
  for (const char* tool : {"build/logistic_train", "build/logistic_predict"}) {
    ASSERT_EQ(run("ldd " + at(tool)), 0) << output();
    EXPECT_EQ(output().find("libonnx"), std::string::npos) << output();
    EXPECT_EQ(output().find("libHalide"), std::string::npos) << output();
    EXPECT_EQ(output().find("libLLVM"), std::string::npos) << output();
  }
}

TEST_F(InstalledTree, AGraphIsInstalledAndPackaged) {
  ASSERT_EQ(run(std::string(KILN_CMAKE) + " --install " + at("build") + " --prefix " + at("graph")), 0) << output();
  for (const char* file : {"bin/logistic_train", "bin/logistic_predict", "bin/kiln_convert", "include/kiln_predictor.h",
                           "share/bash-completion/completions/logistic_train"}) {
    EXPECT_TRUE(fs::exists(at("graph") + "/" + file)) << file;
  }
  EXPECT_EQ(run(at("graph/bin/logistic_train") + " --fast-dev-run --quiet --run-folder installed --save model.h5"), 0)
      << output();  // through the kiln_convert beside it
  const fs::path cpack = fs::path(KILN_CMAKE).parent_path() / "cpack";
  ASSERT_EQ(run(cpack.string() + " --config " + at("build/CPackConfig.cmake")), 0) << output();
  ASSERT_EQ(run("dpkg-deb --contents outside-1.0-Linux.deb"), 0) << output();
  for (const char* file : {"./usr/bin/logistic_train", "liblogistic.so", "kiln_predictor.h"}) {
    EXPECT_NE(output().find(file), std::string::npos) << file << "\n" << output();
  }
  ASSERT_EQ(run("dpkg-deb --field outside-1.0-Linux.deb Depends"), 0) << output();
  EXPECT_NE(output().find("libc6"), std::string::npos) << output();
}

/// The tutorial's commands, in its order, in a folder where there is nothing.
TEST_F(InstalledTree, TheTutorialIsTrue) {
  std::istringstream lines(contents(fs::path(KILN_SOURCE_DIR) / "docs/tutorial.md"));
  std::string script = "set -e\n";
  bool command = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("```", 0) == 0) {
      command = line == "```sh";
    } else if (command) {
      script += line + "\n";
    }
  }
  ASSERT_NE(script.find("sketch_train"), std::string::npos);
  const fs::path home = at("home");
  fs::create_directories(home / "empty");
  fs::create_directory_symlink(at("prefix"), home / "kiln");
  std::ofstream(home / "tutorial.sh") << script;
  const std::string tools =
      fs::path(KILN_CMAKE).parent_path().string() + ":" + fs::path(KILN_NINJA).parent_path().string();
  EXPECT_EQ(run("cd " + at("home/empty") + " && HOME=" + home.string() + " PATH=" + tools +
                ":$PATH CMAKE_GENERATOR=Ninja bash ../tutorial.sh"),
            0)
      << output();
  EXPECT_TRUE(fs::exists(home / "empty/submission.csv"));
}

/// Kiln as a folder of the project, as far as CMake goes: to compile the compiler once more would take minutes.
TEST_F(InstalledTree, KilnMayBeAFolderOfTheProject) {
  ASSERT_EQ(run(std::string(KILN_CMAKE) +
                " -G Ninja -DCMAKE_MAKE_PROGRAM=" KILN_NINJA " -DKILN_SOURCE=" KILN_SOURCE_DIR " -S " + at("outside") +
                " -B " + at("inside")),
            0)
      << output();
  const std::string rules = contents(at("inside/build.ninja"));
  EXPECT_NE(rules.find("build logistic_predict:"), std::string::npos);
  // Kiln's own graphs and tests are not for it to build, nor its package to install.
  EXPECT_EQ(rules.find("digits_train"), std::string::npos);
  EXPECT_FALSE(fs::exists(at("inside/kiln/tests")));
  EXPECT_EQ(contents(at("inside/kiln/cmake_install.cmake")).find("KilnConfig"), std::string::npos);
  EXPECT_NE(contents(at("inside/cmake_install.cmake")).find("/kiln_predictor.h"), std::string::npos);
}

TEST_F(InstalledTree, LocationsAreRelativeToTheProject) {
  const std::string object = contents(at("build/logistic/logistic.o"));
  EXPECT_NE(object.find("logistic.cpp"), std::string::npos);
  EXPECT_EQ(object.find(at("outside") + "/logistic.cpp"), std::string::npos);
}

TEST_F(InstalledTree, NothingPointsIntoTheTreeItWasBuiltFrom) {
  for (const auto& entry : fs::recursive_directory_iterator(at("prefix"))) {
    if (entry.path().extension() != ".cmake" || entry.path().filename() == "KilnConfig.cmake") continue;
    EXPECT_EQ(contents(entry.path()).find(KILN_SOURCE_DIR), std::string::npos) << entry.path();
  }
}

}  // namespace
}  // namespace kiln
