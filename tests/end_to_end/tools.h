#pragma once

#include <gtest/gtest.h>

#include "support/command_folder.h"

namespace kiln {

namespace fs = std::filesystem;

/// Built programs, run in a folder of the test's own.
class Tools : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.path(name); }

  Result shell(const std::string& line) const { return folder_.run(line); }
  Result run(const std::string& command) const { return shell("KILN_CACHE=cache " + kTools + "/" + command); }

  /// A short training run in a folder of that name.
  Result train(const std::string& name, const std::string& arguments) const {
    return run("digits_train --digits 500 --epochs 2 --quiet --run-folder " + name + " " + arguments);
  }

  CommandFolder folder_;
};

}  // namespace kiln
