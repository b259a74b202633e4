#include "interrupt.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(Interrupt, TheFirstSignalOnlySetsAFlag) {
  Interrupt interrupt;
  EXPECT_FALSE(Interrupt::requested());
  std::raise(SIGINT);
  EXPECT_TRUE(Interrupt::requested());
}

TEST(Interrupt, EachStartsUnset) {
  {
    Interrupt interrupt;
    std::raise(SIGTERM);
  }
  Interrupt interrupt;
  EXPECT_FALSE(Interrupt::requested());
}

TEST(InterruptDeathTest, TheSecondSignalEndsAtOnce) {
  EXPECT_EXIT(
      {
        Interrupt interrupt;
        std::raise(SIGINT);
        std::raise(SIGINT);
        std::exit(0);
      },
      testing::ExitedWithCode(130), "");
}

}  // namespace
}  // namespace kiln
