#include "driver/documentation.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace kiln {
namespace {

TEST(Documentation, OperatorTableIsUpToDate) {
  std::ifstream file(KILN_SOURCE_DIR "/docs/operators.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), operator_table()) << "run: build/digits_compile --dump operators > docs/operators.md";
}

}  // namespace
}  // namespace kiln
