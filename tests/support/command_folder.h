#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace kiln {

/// Where the built programs lie.
inline const std::string kTools = KILN_BINARY_DIR;

inline std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Result {
  int exit_code = -1;
  std::string out, err;
};

/// A temporary folder that commands run in, as a user runs them.
class CommandFolder {
 public:
  CommandFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "kiln-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~CommandFolder() { std::filesystem::remove_all(path_); }
  CommandFolder(const CommandFolder&) = delete;
  CommandFolder& operator=(const CommandFolder&) = delete;

  std::string path(const std::string& name) const { return (path_ / name).string(); }

  /// A line of the shell.
  Result run(const std::string& line) const {
    const int status = std::system(("cd " + path_.string() + " && ( " + line + " ) >out.txt 2>err.txt").c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents(path_ / "out.txt"), contents(path_ / "err.txt")};
  }
  /// What the last one printed.
  std::string output() const { return contents(path_ / "out.txt") + contents(path_ / "err.txt"); }

 private:
  std::filesystem::path path_;
};

}  // namespace kiln
