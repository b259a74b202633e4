// What f64 cannot show: the f32 approximations, and functions at the ends of the range.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dsl/operators.h"
#include "ops/definition.h"

namespace kiln {
namespace {

/// One operand, a vector of f32.
class FloatOperand : public Operands {
 public:
  explicit FloatOperand(const Halide::Buffer<float>& values) : values_(values), shape_{values.width()} {}
  Halide::Expr read(int, const Index& index) const override { return values_(index[0]); }
  const Shape& shape(int) const override { return shape_; }
  Halide::Type real() const override { return Halide::Float(32); }
  Halide::Expr count() const override { return 1; }
  int64_t batch() const override { return 1; }

 private:
  Halide::Buffer<float> values_;
  Shape shape_;
};

/// A primitive unary operator in f32, in vectors as a program computes it.
std::vector<float> in_f32(Tensor (*build)(Operand), std::vector<float> values) {
  Graph graph;
  const int size = static_cast<int>(values.size());
  const Tensor x = graph.parameter("x", {size}, zeros(), true, Location::here());
  const Tensor y = build(x);
  const Definition definition = y.node().op->define(graph.call(y.node()));
  const FloatOperand operand{Halide::Buffer<float>(values.data(), size)};
  Halide::Func f;
  Halide::Var i;
  f(i) = definition.value(operand, {Halide::Expr(i)}, {});
  f.vectorize(i, 8, Halide::TailStrategy::GuardWithIf);
  const Halide::Buffer<float> result = f.realize({size});
  return {result.begin(), result.end()};
}

std::vector<float> grid(double low, double high, int steps) {
  std::vector<float> values;
  for (int i = 0; i <= steps; ++i) values.push_back(static_cast<float>(low + (high - low) * i / steps));
  return values;
}

/// The largest error relative to max(|expected|, floor), in units of f32's epsilon.
template <class Exact>
double largest_error(Tensor (*build)(Operand), double low, double high, double floor, Exact exact) {
  const std::vector<float> x = grid(low, high, 100000), y = in_f32(build, x);
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = exact(static_cast<double>(x[i]));
    largest = std::max(largest, std::abs(y[i] - expected) / std::max(std::abs(expected), floor));
  }
  return largest / static_cast<double>(std::numeric_limits<float>::epsilon());
}

TEST(Approximation, TanhIsWithinAFewUlp) {
  EXPECT_LT(largest_error(tanh, -12, 12, 1e-30, [](double x) { return std::tanh(x); }), 6);
  EXPECT_LT(largest_error(tanh, -1e-3, 1e-3, 1e-30, [](double x) { return std::tanh(x); }), 6);
}

TEST(Approximation, ErfIsWithinAFewUlp) {
  EXPECT_LT(largest_error(erf, -6, 6, 1e-30, [](double x) { return std::erf(x); }), 8);
  EXPECT_LT(largest_error(erf, -1e-3, 1e-3, 1e-30, [](double x) { return std::erf(x); }), 8);
}

TEST(Approximation, SigmoidAndSoftplusFollowTheirFormulas) {
  EXPECT_LT(largest_error(sigmoid, -80, 80, 1e-30, [](double x) { return 1 / (1 + std::exp(-x)); }), 8);
  // log(1 + e) loses what is below 1's last bit: absolute there.
  EXPECT_LT(largest_error(softplus, -80, 80, 1,
                          [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }),
            4);
}

TEST(Approximation, NothingOverflowsAtTheEnds) {
  const float huge = 1e30f;
  for (const auto build : {tanh, erf}) {
    const std::vector<float> ends = in_f32(build, {-huge, huge});
    EXPECT_FLOAT_EQ(ends[0], -1);  // within 4 ulp: the last bit depends on fused multiply-add
    EXPECT_FLOAT_EQ(ends[1], 1);
  }
  EXPECT_EQ(in_f32(sigmoid, {huge}), (std::vector<float>{1}));
  EXPECT_NEAR(in_f32(sigmoid, {-huge})[0], 0, 1e-37f);
  EXPECT_EQ(in_f32(softplus, {-huge, huge}), (std::vector<float>{0, huge}));
  const std::vector<float> limits = in_f32(selu, {-huge, huge});
  EXPECT_FLOAT_EQ(limits[0], static_cast<float>(-kSeluScale * kSeluAlpha));
  EXPECT_FLOAT_EQ(limits[1], static_cast<float>(kSeluScale) * huge);
}

}  // namespace
}  // namespace kiln
