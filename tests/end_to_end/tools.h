#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace kiln {

namespace fs = std::filesystem;

inline const std::string kTools = KILN_BINARY_DIR;

struct Result {
  int exit_code = -1;
  std::string out, err;
};

inline std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Built programs, run in a folder of the test's own as a user runs them.
class Tools : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "kiln-tools-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  Result shell(const std::string& command) const {
    const int status = std::system(("cd " + folder_.string() + " && " + command + " >out.txt 2>err.txt").c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents(folder_ / "out.txt"), contents(folder_ / "err.txt")};
  }
  Result run(const std::string& command) const { return shell("KILN_CACHE=cache " + kTools + "/" + command); }

  /// A short training run in a folder of that name.
  Result train(const std::string& name, const std::string& arguments) const {
    return run("digits_train --digits 500 --epochs 2 --quiet --run-folder " + name + " " + arguments);
  }

  fs::path folder_;
};

}  // namespace kiln
