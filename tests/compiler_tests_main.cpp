// The main of kiln_compiler_tests: GoogleTest's, and the options of random tests.
#include <gtest/gtest.h>

#include "support/case_options.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  kiln::testing::read_case_options(argc, argv);
  return RUN_ALL_TESTS();
}
