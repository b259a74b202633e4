#include "initialize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "executor.h"
#include "random.h"

namespace kiln {
namespace {

// The known answers of Random123 1.14.0 (kat_vectors, philox4x32 10).
TEST(Random, PhiloxIsTheOneOfThePaper) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox(0, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, UnitFloatsAreBelowOne) {
  EXPECT_EQ(unit_float(0), 0.0F);
  EXPECT_EQ(unit_float(0x80000000), 0.5F);
  EXPECT_LT(unit_float(0xffffffff), 1.0F);
}

constexpr int64_t kShape[] = {100'000};
constexpr uint64_t kBytes = 400'000;
const kiln_parameter kParameters[] = {{"constant", KILN_STATISTIC, 1, kShape, 0, 100'000, KILN_CONSTANT, 0.75F},
                                      {"uniform", KILN_TRAINABLE, 1, kShape, kBytes, 100'000, KILN_UNIFORM, 0.5F},
                                      {"normal", KILN_TRAINABLE, 1, kShape, 2 * kBytes, 100'000, KILN_NORMAL, 0.5F},
                                      {"again", KILN_TRAINABLE, 1, kShape, 3 * kBytes, 100'000, KILN_NORMAL, 0.5F}};

std::vector<float> initialized(uint64_t seed) {
  kiln_model model = {};
  model.parameter_count = 4;
  model.parameters = kParameters;
  std::vector<float> state(400'000);
  initialize(model, seed, reinterpret_cast<uint8_t*>(state.data()));
  return state;
}

struct Moments {
  double mean = 0, deviation = 0, least = 0, largest = 0;
};

Moments moments(const std::vector<float>& state, size_t parameter) {
  Moments m;
  double squares = 0;
  for (size_t i = 0; i < 100'000; ++i) {
    const double value = state[parameter * 100'000 + i];
    m.mean += value / 100'000;
    squares += value * value / 100'000;
    m.least = std::min(m.least, value);
    m.largest = std::max(m.largest, value);
  }
  m.deviation = std::sqrt(squares - m.mean * m.mean);
  return m;
}

// Bounds of the means are 5 standard errors; the draws are fixed, so they hold always or never.
TEST(Initialize, DrawsTheDistributionsOfTheTable) {
  const std::vector<float> state = initialized(1);
  for (size_t i = 0; i < 100'000; ++i) ASSERT_EQ(state[i], 0.75F);

  const Moments uniform = moments(state, 1);
  EXPECT_NEAR(uniform.mean, 0, 0.0046);
  EXPECT_NEAR(uniform.deviation, 0.5 / std::sqrt(3.0), 0.003);
  EXPECT_GE(uniform.least, -0.5);
  EXPECT_LT(uniform.largest, 0.5);
  EXPECT_GT(uniform.largest - uniform.least, 0.999);

  // A normal that is cut at two standard deviations keeps 0.8796 of its deviation.
  const Moments normal = moments(state, 2);
  EXPECT_NEAR(normal.mean, 0, 0.007);
  EXPECT_NEAR(normal.deviation, 0.5 * 0.87962566, 0.004);
  EXPECT_GE(normal.least, -1.0);
  EXPECT_LE(normal.largest, 1.0);
  EXPECT_GT(normal.largest - normal.least, 1.99);
}

TEST(Initialize, EachParameterAndEachSeedHasItsOwnNumbers) {
  const std::vector<float> state = initialized(1), same = initialized(1), other = initialized(2);
  EXPECT_EQ(state, same);
  int equal_parameters = 0, equal_seeds = 0;
  for (size_t i = 0; i < 100'000; ++i) {
    equal_parameters += state[200'000 + i] == state[300'000 + i];
    equal_seeds += state[200'000 + i] == other[200'000 + i];
  }
  EXPECT_LT(equal_parameters, 10);
  EXPECT_LT(equal_seeds, 10);
}

}  // namespace
}  // namespace kiln
