// random_uniform is well mixed: its elements, steps, seeds and streams are independent; and what depends on it keeps
// the moments that it promises.
#include <gtest/gtest.h>

#include <cmath>

#include "dsl/operators.h"
#include "lower/reference.h"
#include "ops/evaluation.h"
#include "ops/input.h"
#include "passes/expand.h"

namespace kiln {
namespace {

using testing::Values;

constexpr int64_t kRows = 64, kColumns = 1024;
constexpr double kCount = kRows * kColumns;

Values draw(int64_t rows, int64_t columns, int32_t seed, int32_t step, int64_t stream) {
  Graph graph;
  const Tensor u = random_uniform(graph, {.shape = {kBatch, columns}, .stream = stream});
  return Reference(graph, {u.id()}, rows).run({}, {.count = rows, .seed = seed, .step = step}).at(0);
}

double correlation(const Values& a, const Values& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - 0.5) * (b[i] - 0.5);
  return sum / static_cast<double>(a.size()) * 12;
}

// Each bound below is five standard deviations of the statistic for independent numbers; the draws are fixed.
constexpr double kFive = 5;

TEST(RandomUniform, HasTheMomentsAndTheDistribution) {
  for (const int32_t seed : {0, 1, 12345}) {
    const Values u = draw(kRows, kColumns, seed, 0, 0);
    double mean = 0, square = 0;
    std::vector<int> bins(256, 0);
    for (const double value : u) {
      ASSERT_GE(value, 0);
      ASSERT_LT(value, 1);
      mean += value / kCount;
      square += value * value / kCount;
      ++bins[static_cast<size_t>(value * 256)];
    }
    EXPECT_NEAR(mean, 0.5, kFive * std::sqrt(1.0 / 12 / kCount));
    EXPECT_NEAR(square, 1.0 / 3, kFive * std::sqrt(4.0 / 45 / kCount));
    double chi_squared = 0;
    for (const int bin : bins) chi_squared += (bin - kCount / 256) * (bin - kCount / 256) / (kCount / 256);
    EXPECT_NEAR(chi_squared, 255, kFive * std::sqrt(2.0 * 255));
  }
}

TEST(RandomUniform, NeighboursStepsSeedsAndStreamsAreIndependent) {
  const double bound = kFive / std::sqrt(kCount);
  const Values u = draw(kRows, kColumns, 1, 0, 0);
  for (const size_t lag : {size_t{1}, size_t{2}, size_t{16}, size_t{kColumns}}) {
    EXPECT_NEAR(correlation(Values(u.begin(), u.end() - lag), Values(u.begin() + lag, u.end())), 0, 2 * bound) << lag;
  }
  EXPECT_NEAR(correlation(u, draw(kRows, kColumns, 1, 1, 0)), 0, bound) << "steps";
  EXPECT_NEAR(correlation(u, draw(kRows, kColumns, 2, 0, 0)), 0, bound) << "seeds";
  EXPECT_NEAR(correlation(u, draw(kRows, kColumns, 1, 0, 1)), 0, bound) << "streams";
  EXPECT_NEAR(correlation(u, draw(kRows, kColumns, 0, 1, 0)), 0, bound) << "seed and step changed places";
}

TEST(RandomUniform, DependsOnTheRowNotOnTheSizeOfTheBatch) {
  const Values all = draw(8, 33, 5, 6, 7), some = draw(3, 33, 5, 6, 7);
  EXPECT_EQ(Values(all.begin(), all.begin() + 3 * 33), some);
}

/// x through `op` in training, x given.
template <class Build>
Values through(const Values& x, Build build) {
  Graph graph;
  const Tensor input = kiln::input(graph, "x", {{kBatch, kColumns}, ElementType::real}, Location::here());
  graph.output("y", build(input));
  const testing::Evaluation evaluation(graph, kRows, true, std::vector<std::string>{});
  const Values cotangent(static_cast<size_t>(kCount), 1);
  return evaluation
      .run({{evaluation.sources().at("x"), x}, {evaluation.cotangent_id(), cotangent}}, {.count = kRows, .seed = 3})
      .output;
}

TEST(Dropout, KeepsTheMean) {
  const Values y =
      through(Values(static_cast<size_t>(kCount), 1.0), [](Tensor x) { return dropout(x, {.rate = 0.3}); });
  double kept = 0;
  for (const double value : y) {
    ASSERT_TRUE(value == 0 || std::abs(value - 1 / 0.7) < 1e-12) << value;
    kept += value != 0;
  }
  EXPECT_NEAR(kept / kCount, 0.7, kFive * std::sqrt(0.3 * 0.7 / kCount));
}

TEST(AlphaDropout, KeepsMeanAndVariance) {
  // Numbers of mean 0 and variance 1, as selu's outputs: uniform in [-sqrt(3), sqrt(3)).
  const Values x = testing::random_values(static_cast<size_t>(kCount), -std::sqrt(3.0), std::sqrt(3.0), 17);
  const Values y = through(x, [](Tensor t) { return alpha_dropout(t, {.rate = 0.2}); });
  double mean = 0, square = 0;
  for (const double value : y) {
    mean += value / kCount;
    square += value * value / kCount;
  }
  EXPECT_NEAR(mean, 0, kFive * std::sqrt(1 / kCount));
  EXPECT_NEAR(square - mean * mean, 1, kFive * std::sqrt(2 / kCount));
}

}  // namespace
}  // namespace kiln
