#include "codegen/target.h"

#include <gtest/gtest.h>

#include "ir/error.h"

namespace kiln {
namespace {

using Targets = std::vector<std::string>;

const std::string kKnown =
    "; known are host, sse41, avx2, avx512, arm64, and Halide targets of Linux on x86-64 and arm64 such as "
    "x86-64-linux-avx-avx2-f16c-fma-sse41";

std::string error(const std::string& list) {
  try {
    kernel_targets(list);
  } catch (const UserError& error) {
    return error.what();
  }
  return "none";
}

TEST(Target, ShortNamesStandForHalidesTargets) {
  EXPECT_EQ(kernel_target("avx2"), kernel_target("x86-64-linux-avx-avx2-f16c-fma-sse41"));
  EXPECT_EQ(kernel_target("arm64"), kernel_target("arm-64-linux"));
  EXPECT_NE(kernel_target("avx2"), kernel_target("avx512"));
  EXPECT_EQ(kernel_target("arm64"), "arm-64-linux-no_asserts-no_bounds_query-no_runtime-user_context");
}

TEST(Target, IsItsOwnTarget) {
  for (const char* name : {"host", "sse41", "avx512", "arm64", "arm-64-linux-arm_dot_prod"})
    EXPECT_EQ(kernel_target(kernel_target(name)), kernel_target(name));
}

TEST(Target, OfThisMachineIsWhatKernelsCanUseOfIt) {
  // Whatever else the machine has: `./run sanitize` compiles for host-asan.
  std::string with_sanitizer = kernel_target("host-asan");
  const size_t at = with_sanitizer.find("-asan");
  ASSERT_NE(at, std::string::npos) << with_sanitizer;
  EXPECT_EQ(with_sanitizer.erase(at, 5), kernel_target("host"));
  EXPECT_EQ(error("host-cuda"), "--target 'host-cuda': kernels cannot use cuda" + kKnown);
  EXPECT_EQ(error("hostess"), "--target 'hostess': is no target" + kKnown);
}

TEST(Target, WhatNoKernelCanBeCompiledForIsRefused) {
  EXPECT_EQ(error("itanium"), "--target 'itanium': is no target" + kKnown);
  EXPECT_EQ(error(""), "--target '': is no target" + kKnown);
  EXPECT_EQ(error("avx2,"), "--target '': is no target" + kKnown);
  EXPECT_EQ(error("wasm-32-wasmrt"), "--target 'wasm-32-wasmrt': Kiln has no runtime for it" + kKnown);
  EXPECT_EQ(error("x86-64-windows"), "--target 'x86-64-windows': Kiln has no runtime for it" + kKnown);
  EXPECT_EQ(error("x86-32-linux"), "--target 'x86-32-linux': Kiln has no runtime for it" + kKnown);
  EXPECT_EQ(error("riscv-64-linux"), "--target 'riscv-64-linux': Kiln has no runtime for it" + kKnown);
  EXPECT_EQ(error("x86-64-linux-cuda"), "--target 'x86-64-linux-cuda': kernels cannot use cuda" + kKnown);
  EXPECT_EQ(error("arm-64-linux-sve2"), "--target 'arm-64-linux-sve2': kernels cannot use sve2" + kKnown);
  EXPECT_EQ(error("avx2,arm64"),
            "--target 'avx2,arm64': a program runs on x86-64 or on arm64; compile for each of them");
}

TEST(Target, OfAListTheMostCapableComesFirstAndEachOnce) {
  const Targets expected = {kernel_target("avx512"), kernel_target("avx2"), kernel_target("sse41")};
  EXPECT_EQ(kernel_targets("sse41,avx2,avx512"), expected);
  EXPECT_EQ(kernel_targets("avx512,sse41,avx2,avx512"), expected);
  EXPECT_EQ(kernel_targets("avx2"), Targets{kernel_target("avx2")});
}

}  // namespace
}  // namespace kiln
