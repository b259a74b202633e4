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

// A terminal that is closed sends SIGHUP once itself and once by its shell.
TEST(Interrupt, AClosedTerminalSetsTheFlagHoweverOftenItIsToldOf) {
  const auto before = std::signal(SIGHUP, SIG_DFL);
  {
    Interrupt interrupt;
    std::raise(SIGHUP);
    EXPECT_TRUE(Interrupt::requested());
    std::raise(SIGHUP);
    EXPECT_TRUE(Interrupt::requested());
  }
  EXPECT_EQ(std::signal(SIGHUP, before), SIG_DFL);
}

TEST(Interrupt, WhatNohupIgnoresStaysIgnored) {
  const auto before = std::signal(SIGHUP, SIG_IGN);
  {
    Interrupt interrupt;
    std::raise(SIGHUP);
    EXPECT_FALSE(Interrupt::requested());
  }
  EXPECT_EQ(std::signal(SIGHUP, before), SIG_IGN);
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
