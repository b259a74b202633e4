// What a wrong graph gets, to the letter: the user's file and line, the operator, what was found and what to do, then
// the quoted line. Each expectation is one line, because that line is the one the error must quote.
#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "autodiff/gradient.h"
#include "dsl/graph.h"
#include "ops/input.h"
#include "ops/parameter.h"

namespace kiln {
namespace {

std::string line_of_this_file(int line) {
  std::ifstream file(__FILE__);
  std::string text;
  for (int i = 0; i < line; ++i) std::getline(file, text);
  return text;
}

template <class Statement>
void expect_error(int line, const std::string& message, Statement statement) {
  try {
    statement();
    ADD_FAILURE_AT(__FILE__, line) << "no error; expected: " << message;
  } catch (const UserError& error) {
    const std::string expected =
        fmt::format("{}:{}: {}\n{:>5} | {}", __FILE__, line, message, line, line_of_this_file(line));
    if (error.what() != expected)
      ADD_FAILURE_AT(__FILE__, line) << "found:    " << error.what() << "\nexpected: " << expected;
  }
}

#define EXPECT_ERROR(message, ...) expect_error(__LINE__, message, [&] { __VA_ARGS__; })

constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();

class Errors : public ::testing::Test {
 protected:
  Graph g{"errors"};
  Tensor row = g.input("row", {7});
  Tensor image = g.input("image", {4, 5, 3});
  Tensor integers = input(g, "integers", {{kBatch}, ElementType::int32}, Location::here());
};

// clang-format off

TEST_F(Errors, ElementWise) {
  const Tensor other = g.input("other", {6}), vector = g.input("vector", {});
  const Tensor column = parameter(g, "column", {4, 1}, zeros(), true, Location::here());
  EXPECT_ERROR("add: shapes Nx7 and Nx6 do not fit together", row + other);
  EXPECT_ERROR("subtract: shapes Nx7 and Nx6 do not fit together", row - other);
  EXPECT_ERROR("multiply: shapes Nx7 and Nx6 do not fit together", row * other);
  EXPECT_ERROR("divide: shapes Nx7 and Nx4x5x3 do not fit together", row / image);
  EXPECT_ERROR("maximum: shapes Nx7 and Nx6 do not fit together", maximum(row, other));
  EXPECT_ERROR("minimum: shapes Nx7 and Nx6 do not fit together", minimum(row, other));
  EXPECT_ERROR("where_positive: shapes Nx7 and Nx6 do not fit together", where_positive(row, row, other));
  EXPECT_ERROR("add: the batch must stay the first dimension; reshape() the operand of lower rank", column + vector);
  EXPECT_ERROR("add: the inputs must be real", integers + integers);
  EXPECT_ERROR("to_real: the input must be int32; it is real already", to_real(row));
}

TEST_F(Errors, Unary) {
  using Unary = Tensor (*)(Operand);
  const std::map<std::string, Unary> operators = {
      {"abs", abs}, {"erf", erf}, {"exp", exp}, {"log", log}, {"negate", negate}, {"relu", relu}, {"selu", selu}, {"sigmoid", sigmoid},
      {"softplus", softplus}, {"sqrt", sqrt}, {"square", square}, {"stop_gradient", stop_gradient}, {"tanh", tanh}};
  for (const auto& entry : operators) {
    EXPECT_ERROR(entry.first + ": the input must be real", entry.second(integers));
  }
}

TEST_F(Errors, Activations) {
  EXPECT_ERROR("clip: min must not be above max, got min 1 and max -1", clip(row, {.min = 1, .max = -1}));
  EXPECT_ERROR("clip: the input must be real", clip(integers, {.min = 0, .max = 1}));
  EXPECT_ERROR("elu: alpha must not be negative, got -1", elu(row, {.alpha = -1}));
  EXPECT_ERROR("leaky_relu: negative_slope must not be negative, got -0.1", leaky_relu(row, {.negative_slope = -0.1}));
  EXPECT_ERROR("gelu: the input must be real", gelu(integers));
  EXPECT_ERROR("softmax: input must have a dimension beside the batch, got N", softmax(g.input("flat", {})));
  EXPECT_ERROR("log_softmax: input must have a dimension beside the batch, got scalar", log_softmax(g.constant(1)));
  EXPECT_ERROR("argmax: input must have a dimension beside the batch, got N", argmax(integers));
  EXPECT_ERROR("index_of: value must be Nx1 for an x of Nx7, got Nx7", index_of(row, row));
}

TEST_F(Errors, Shapes) {
  EXPECT_ERROR("reshape: Nx7 elements do not fit into Nx3", reshape(row, {kBatch, 3}));
  EXPECT_ERROR("reshape: Nx7 elements do not fit into 7", reshape(row, {7}));
  EXPECT_ERROR("flatten: input must have the batch dimension, got scalar; reshape() it", flatten(g.constant(1)));
  EXPECT_ERROR("broadcast_to: Nx7 does not stretch to Nx3", broadcast_to(row, {.shape = {kBatch, 3}}));
  EXPECT_ERROR("transpose: axes must name each of the 4 dimensions of Nx4x5x3 once, got {0, 1, 1, 2}", transpose(image, {.axes = {0, 1, 1, 2}}));
  EXPECT_ERROR("transpose: axes must name each of the 4 dimensions of Nx4x5x3 once, got {1, 2}", transpose(image, {.axes = {1, 2}}));
  EXPECT_ERROR("transpose: the batch must stay the first dimension: axes[0] = 0", transpose(row, {.axes = {1, 0}}));
  EXPECT_ERROR("slice: begin and size must have 2 numbers, one for each dimension of Nx7, got 1 and 1", slice(row, {.begin = {0}, .size = {3}}));
  EXPECT_ERROR("slice: 4 elements from 5 on are not inside dimension 1 of Nx7", slice(row, {.begin = {0, 5}, .size = {-1, 4}}));
  EXPECT_ERROR("slice: begin and size must have 2 numbers, one for each dimension of Nx7, got 2 and 1", slice(row, {.begin = {0, 0}, .size = {-1}}));
  EXPECT_ERROR("slice: 2 elements from -1 on are not inside dimension 1 of Nx7", slice(row, {.begin = {0, -1}, .size = {-1, 2}}));
  EXPECT_ERROR("slice: 0 elements from 3 on are not inside dimension 1 of Nx7", slice(row, {.begin = {0, 3}, .size = {-1, 0}}));
  EXPECT_ERROR("slice: the batch dimension cannot be cut; begin 0 and size -1 keep it", slice(row, {.begin = {0, 0}, .size = {2, 7}}));
  EXPECT_ERROR("pad: before and after must have 2 numbers, one for each dimension of Nx7, got 2 and 1", pad(row, {.before = {0, 1}, .after = {0}}));
  EXPECT_ERROR("pad: padding must not be negative; slice() takes elements away", pad(row, {.before = {0, -1}, .after = {0, 0}}));
  EXPECT_ERROR("pad: padding must not be negative; slice() takes elements away", pad(row, {.before = {0, 0}, .after = {0, -1}}));
  EXPECT_ERROR("pad: padding is too large", pad(row, {.before = {0, INT64_MAX}, .after = {0, INT64_MAX}}));
  EXPECT_ERROR("slice: 1 elements from 9223372036854775807 on are not inside dimension 1 of Nx7", slice(row, {.begin = {0, INT64_MAX}, .size = {-1, 1}}));
  EXPECT_ERROR("broadcast_to: the input must be real", broadcast_to(integers, {.shape = {kBatch}}));
  EXPECT_ERROR("pad: the batch dimension cannot be padded", pad(row, {.before = {1, 0}, .after = {0, 0}}));
  EXPECT_ERROR("zero_padding2d: input must have rank 4 (batch, height, width, channels), got Nx7", zero_padding2d(row));
  EXPECT_ERROR("zero_padding2d: padding must be one number or {top, bottom, left, right}, got 2 numbers", zero_padding2d(image, {.padding = {1, 2}}));
  EXPECT_ERROR("zero_padding2d: padding must not be negative, got -1", zero_padding2d(image, {.padding = {-1}}));
  EXPECT_ERROR("concatenate: there must be at least one tensor", concatenate({}));
  const Tensor pairs = input(g, "pairs", {{kBatch, 7}, ElementType::int32}, Location::here());
  EXPECT_ERROR("concatenate: the inputs must be real", concatenate({row, pairs}));
  EXPECT_ERROR("concatenate: shapes Nx7 and Nx4x5x3 differ beside dimension 1", concatenate({row, image}));
  EXPECT_ERROR("concatenate: the axis is not a dimension of Nx7 beside the batch", concatenate({row, row}, {.axis = 0}));
  EXPECT_ERROR("concatenate: the axis is not a dimension of Nx7 beside the batch", concatenate({row, row}, {.axis = 2}));
}

TEST_F(Errors, Reductions) {
  EXPECT_ERROR("reduce_sum: name at least one axis", reduce_sum(row, {}));
  EXPECT_ERROR("reduce_sum: the input must be real", reduce_sum(integers, {.axes = {0}}));
  EXPECT_ERROR("reduce_max: axis 2 is out of range for Nx7", reduce_max(row, {.axes = {2}}));
  EXPECT_ERROR("reduce_mean: axis 1 is named twice", reduce_mean(row, {.axes = {1, 1}}));
}

TEST_F(Errors, Dense) {
  EXPECT_ERROR("dense: input must have rank 2, got Nx4x5x3; flatten() it", dense(image, {.units = 5}));
  EXPECT_ERROR("dense: units must be positive, got 0", dense(row, {}));
  const Tensor matrix = g.parameter("matrix", {4, 10}, zeros(), true);
  EXPECT_ERROR("dense: input must have the batch dimension, got 4x10", dense(matrix, {.units = 5}));
}

TEST_F(Errors, Convolution) {
  EXPECT_ERROR("conv2d: input must have rank 4 (batch, height, width, channels), got Nx7", conv2d(row, {.filters = 1}));
  EXPECT_ERROR("conv2d: filters must be positive, got 0", conv2d(image, {}));
  EXPECT_ERROR("conv2d: a window of height 5 does not fit into Nx4x5x3; pad it, or use .padding = Padding::same()", conv2d(image, {.filters = 1, .kernel = {5, 5}}));
  EXPECT_ERROR("conv2d: a window of width 7 does not fit into Nx4x5x3", conv2d(image, {.filters = 1, .kernel = {1, 7}, .padding = Padding::explicit_(0, 0, 1, 0)}));
  EXPECT_ERROR("conv2d: window must have 2 numbers (height, width), got 1", conv2d(image, {.filters = 1, .kernel = {3}}));
  EXPECT_ERROR("conv2d: stride of the height must be positive, got 0", conv2d(image, {.filters = 1, .strides = {0, 1}}));
  EXPECT_ERROR("conv2d: dilation of the width must be positive, got -1", conv2d(image, {.filters = 1, .dilation = {1, -1}}));
  EXPECT_ERROR("conv2d: padding must not be negative", conv2d(image, {.filters = 1, .padding = Padding::explicit_(-1, 0, 0, 0)}));
  EXPECT_ERROR("conv2d: padding must not be negative", conv2d(image, {.filters = 1, .padding = Padding::explicit_(0, -1, 0, 0)}));
  EXPECT_ERROR("conv2d: 3 groups must divide the 3 channels of the input and the 4 filters", conv2d(image, {.filters = 4, .groups = 3}));
  EXPECT_ERROR("conv2d: 2 groups must divide the 3 channels of the input and the 4 filters", conv2d(image, {.filters = 4, .groups = 2}));
  EXPECT_ERROR("depthwise_conv2d: depth_multiplier must be positive, got 0", depthwise_conv2d(image, {.depth_multiplier = 0}));
  EXPECT_ERROR("depthwise_conv2d: input must have rank 4 (batch, height, width, channels), got Nx7", depthwise_conv2d(row));
  EXPECT_ERROR("contraction: the left operand must have rank 0, got Nx7", contraction(row, row, {}));
  EXPECT_ERROR("contraction: the output has 2 dimensions of 1 loops", contraction(row, row, {.loops = {"n"}, .extents = {kBatch}, .output_rank = 2, .left = {}, .right = {}}));
  EXPECT_ERROR("contraction: dimension 0 of the left operand needs a coefficient for each of 1 loops and a divisor above 0, got 0 and 1", contraction(row, row, {.loops = {"n"}, .extents = {kBatch}, .output_rank = 1, .left = {{}, {}}, .right = {{}, {}}}));
  EXPECT_ERROR("contraction: the left operand must be real", contraction(integers, row, {.loops = {"n"}, .extents = {kBatch}, .output_rank = 1, .left = {{{1}}}, .right = {{{1}}, {{0}}}}));
  const Tensor still = g.parameter("still", {2, 4, 5, 3}, zeros(), true);
  EXPECT_ERROR("conv2d: input must have the batch dimension, got 2x4x5x3", conv2d(still, {.filters = 1}));
  EXPECT_ERROR("depthwise_conv2d: input must have the batch dimension, got 2x4x5x3", depthwise_conv2d(still));
  EXPECT_ERROR("conv2d: stride of the height is too large: 4294967296", conv2d(image, {.filters = 1, .strides = {int64_t{1} << 32, 1}}));
  EXPECT_ERROR("conv2d: dilation of the width is too large: 8589934592", conv2d(image, {.filters = 1, .kernel = {1, 2}, .padding = Padding::same(), .dilation = {1, int64_t{1} << 33}}));
  EXPECT_ERROR("conv2d: padding is too large", conv2d(image, {.filters = 1, .padding = Padding::explicit_(0, int64_t{1} << 40, 0, 0)}));
}

TEST_F(Errors, NormalisationAndDropout) {
  EXPECT_ERROR("batch_norm: input must have the batch dimension, got 4x8", batch_norm(g.parameter("fixed", {4, 8}, zeros(), true)));
  EXPECT_ERROR("batch_norm: axis 4 is not a dimension of Nx4x5x3 beside the batch", batch_norm(image, {.axis = 4}));
  EXPECT_ERROR("batch_norm: axis 0 is not a dimension of Nx4x5x3 beside the batch", batch_norm(image, {.axis = 0}));
  EXPECT_ERROR("batch_norm: axis -4 is not a dimension of Nx4x5x3 beside the batch", batch_norm(image, {.axis = -4}));
  EXPECT_ERROR("batch_norm: momentum must be in [0, 1], got 1.5", batch_norm(row, {.momentum = 1.5}));
  EXPECT_ERROR("batch_norm: epsilon must not be negative, got -0.001", batch_norm(row, {.epsilon = -1e-3}));
  EXPECT_ERROR("dropout: rate must be in [0, 1), got 1", dropout(row, {.rate = 1}));
  EXPECT_ERROR("alpha_dropout: rate must be in [0, 1), got -0.5", alpha_dropout(row, {.rate = -0.5}));
}

TEST_F(Errors, Optimizers) {
  EXPECT_ERROR("rmsprop: rho must be in [0, 1], got 9", rmsprop({.rho = 9}));
  EXPECT_ERROR("rmsprop: epsilon must be from 0 to 1e30, got -1e-07", rmsprop({.epsilon = -1e-7}));
  EXPECT_ERROR("sgd: momentum must be in [0, 1], got -0.9", sgd({.momentum = -0.9}));
  EXPECT_ERROR("adam: beta_1 must be from 0 to 1 - 1e-6, got 1", adam({.beta_1 = 1}));
  EXPECT_ERROR("adam: beta_2 must be from 0 to 1 - 1e-6, got nan", adam({.beta_2 = kNan}));
  EXPECT_ERROR("adam: weight_decay must be from 0 to 1e30, got -0.01", adam({.weight_decay = -0.01}));
  EXPECT_NO_THROW(adam({.beta_1 = 0, .beta_2 = 0}));
  EXPECT_NO_THROW(sgd({.momentum = 1}));
  const Tensor loss = mean_squared_error(row, row);
  EXPECT_ERROR("train: sgd's learning_rate must be from 1e-30 to 1e30, got 0", g.train({.loss = loss, .optimizer = sgd({.learning_rate = 0})}));
  EXPECT_ERROR("train: adam's learning_rate must be from 1e-30 to 1e30, got -0.1", g.train({.loss = loss, .optimizer = adam({.learning_rate = -0.1})}));
  EXPECT_ERROR("train: rmsprop's learning_rate must be from 1e-30 to 1e30, got nan", g.train({.loss = loss, .optimizer = rmsprop({.learning_rate = kNan})}));
  EXPECT_ERROR("train: sgd's clip_value must be from 0, which is none, to 1e30, got -1", g.train({.loss = loss, .optimizer = sgd({.clip_value = -1})}));
  EXPECT_ERROR("train: adam's clip_norm must be from 0, which is none, to 1e30, got inf", g.train({.loss = loss, .optimizer = adam({.clip_norm = kInfinity})}));
  EXPECT_ERROR("train: rmsprop's global_clip_norm must be from 0, which is none, to 1e30, got -2", g.train({.loss = loss, .optimizer = rmsprop({.global_clip_norm = -2})}));
  EXPECT_ERROR("train: sgd's gradients are clipped in one way at most: clip_value, clip_norm or global_clip_norm", g.train({.loss = loss, .optimizer = sgd({.clip_value = 1, .global_clip_norm = 1})}));
  const Optimizer own = {.name = "own", .learning_rate = 0, .update = [](const OptimizerCall&) {}};
  EXPECT_ERROR("train: own's learning_rate must be from 1e-30 to 1e30, got 0", g.train({.loss = loss, .optimizer = own}));
}

TEST_F(Errors, NumbersThatKernelsCannotHold) {
  EXPECT_ERROR("constant: value must be a finite float, got nan", row * kNan);
  EXPECT_ERROR("constant: value must be a finite float, got 1e+39", row + 1e39);
  EXPECT_NO_THROW(row + -3.4028235e38);  // the lowest float as it is usually written, which rounds to it
  EXPECT_ERROR("clip: max must be a finite float, got inf", clip(row, {.min = 0, .max = kInfinity}));
  EXPECT_ERROR("leaky_relu: negative_slope must be a finite float, got -inf", leaky_relu(row, {.negative_slope = -kInfinity}));
  EXPECT_ERROR("dense: the L2 factor must be from 0 to 1e30, got -1", dense(row, {.units = 3, .kernel_l2 = -1}));
  EXPECT_ERROR("conv2d: the L2 factor must be from 0 to 1e30, got nan", conv2d(image, {.filters = 1, .kernel_l2 = kNan}));
  EXPECT_ERROR("depthwise_conv2d: the L2 factor must be from 0 to 1e30, got inf", depthwise_conv2d(image, {.kernel_l2 = kInfinity}));
}

TEST_F(Errors, Pooling) {
  EXPECT_ERROR("max_pool: input must have rank 4 (batch, height, width, channels), got Nx7", max_pool(row));
  EXPECT_ERROR("max_pool: a window of height 9 does not fit into Nx4x5x3; pad it, or use .padding = Padding::same()", max_pool(image, {.size = {9, 2}}));
  EXPECT_ERROR("min_pool: window of the width must be positive, got 0", min_pool(image, {.size = {2, 0}}));
  EXPECT_ERROR("average_pool: stride must have 2 numbers (height, width), got 3", average_pool(image, {.strides = {1, 1, 1}}));
  EXPECT_ERROR("average_pool: a window would hold nothing but padding; pad less", average_pool(image, {.padding = Padding::explicit_(2, 0, 0, 0)}));
  EXPECT_ERROR("max_pool: a window would hold nothing but padding; pad less", max_pool(image, {.padding = Padding::explicit_(2, 0, 0, 0)}));
  EXPECT_ERROR("min_pool: a window would hold nothing but padding; pad less", min_pool(image, {.padding = Padding::explicit_(0, 0, 0, 3)}));
  EXPECT_ERROR("global_max_pool: input must have rank 4 (batch, height, width, channels), got Nx7", global_max_pool(row));
  EXPECT_ERROR("global_average_pool: input must have rank 4 (batch, height, width, channels), got Nx7", global_average_pool(row));
}

TEST_F(Errors, LossesAndMetrics) {
  const Tensor digit = g.label("digit", 10);
  EXPECT_ERROR("one_hot: the labels must be int32", one_hot(row, {.classes = 3}));
  EXPECT_ERROR("one_hot: the number of classes must be positive, got 0", g.label("none", 0));
  EXPECT_ERROR("mean_squared_error: prediction Nx7 and target Nx10 must have the same shape", mean_squared_error(row, digit));
  EXPECT_ERROR("binary_cross_entropy: prediction Nx7 and target Nx10 must have the same shape", binary_cross_entropy(row, digit));
  EXPECT_ERROR("binary_cross_entropy: label_smoothing must be in [0, 1], got 2", binary_cross_entropy(row, row, {.label_smoothing = 2}));
  EXPECT_ERROR("categorical_cross_entropy: prediction Nx7 and target Nx10 must have the same shape", categorical_cross_entropy(row, digit));
  EXPECT_ERROR("categorical_cross_entropy: label_smoothing must be in [0, 1], got -1", categorical_cross_entropy(row, row, {.label_smoothing = -1}));
  EXPECT_ERROR("categorical_accuracy: prediction Nx7 and target Nx10 must have the same shape", categorical_accuracy(row, digit));
  EXPECT_ERROR("binary_accuracy: the inputs must be real; one_hot() makes classes so", binary_accuracy(integers, integers));
}

TEST_F(Errors, GraphCalls) {
  Graph stranger("stranger");
  const Tensor foreign = stranger.input("x", {7});
  const Tensor loss = mean_squared_error(row, row);
  EXPECT_ERROR("add: an input belongs to no graph or to another one", row + foreign);
  EXPECT_ERROR("input: extents must be positive, got 3x0", g.input("x", {3, 0}));
  EXPECT_ERROR("scalar: there is no scalar 'rate'; there are learning_rate, count, label_smoothing, step and seed", g.scalar("rate"));
  EXPECT_ERROR("output: the value belongs to another graph", g.output("y", foreign));
  EXPECT_ERROR("output: the value belongs to another graph", g.output("y", {}));
  EXPECT_ERROR("metric: 'm' must be a scalar, got Nx7", g.metric("m", row));
  EXPECT_ERROR("metric: 'm' must be a scalar, got N", g.metric("m", to_real(integers)));
  EXPECT_ERROR("metric: the value belongs to another graph", g.metric("m", foreign));
  EXPECT_ERROR("metric: the value belongs to another graph", g.metric("m", {}));
  EXPECT_ERROR("metric: 'loss' is reported already, under that name", g.metric("loss", loss));
  EXPECT_ERROR("metric: 'epoch' is reported already, under that name", g.metric("epoch", loss));
  EXPECT_ERROR("metric: 'learning_rate' is reported already, under that name", g.metric("learning_rate", loss));
  EXPECT_ERROR("metric: 'val_loss' begins as the validation's metrics do, with val_", g.metric("val_loss", loss));
  g.metric("twice", loss);
  EXPECT_ERROR("metric: 'twice' is there already", g.metric("twice", loss));
  EXPECT_ERROR("metric: 'm' must be real; to_real() makes it so", g.metric("m", integers));
  EXPECT_ERROR("output: 'y' must be real; to_real() makes it so", g.output("y", integers));
  EXPECT_ERROR("input: 'row' is there already", g.input("row", {3}));
  EXPECT_ERROR("input: 'row' is there already", g.label("row", 3));
  g.parameter("weight", {3}, zeros(), true);
  EXPECT_ERROR("parameter: 'weight' is there already", g.parameter("weight", {3}, zeros(), true));
  EXPECT_ERROR("train: the epochs must be from 1 to 1000000, got 0", g.train({.loss = loss, .optimizer = sgd(), .epochs = 0}));
  EXPECT_ERROR("train: the loss belongs to another graph", g.train({.loss = foreign, .optimizer = sgd()}));
  EXPECT_ERROR("train: the loss must be a scalar, got Nx7", g.train({.loss = row, .optimizer = sgd()}));
  EXPECT_ERROR("train: the loss belongs to another graph", g.train({.loss = {}, .optimizer = sgd()}));
  EXPECT_ERROR("train: an optimizer is missing: .optimizer = rmsprop()", g.train({.loss = loss, .optimizer = {}}));
  EXPECT_ERROR("train: the batch must be positive, got 0", g.train({.loss = loss, .optimizer = sgd(), .batch = 0}));
  EXPECT_ERROR("train: the validation split must be from 0 to 0.99, got 1", g.train({.loss = loss, .optimizer = sgd(), .validation_split = 1}));
}

TEST_F(Errors, Names) {
  EXPECT_ERROR("Graph: the name becomes part of files and C symbols; use letters, digits and _, no digit first", Graph("../up"));
  EXPECT_ERROR("Graph: the name becomes part of files and C symbols; use letters, digits and _, no digit first", Graph("2nd"));
  EXPECT_ERROR("Graph: the name becomes part of files and C symbols; use letters, digits and _, no digit first", Graph(""));
  EXPECT_NO_THROW(Graph("_net_2"));
  const char* const message = ": a name is printable ASCII without quotes, backslashes and commas";
  EXPECT_ERROR(std::string("input") + message, g.input("a \"b\"", {3}));
  EXPECT_ERROR(std::string("input") + message, g.label("a\nb", 3));
  EXPECT_ERROR(std::string("parameter") + message, g.parameter("a\\b", {3}, zeros(), true));
  EXPECT_ERROR(std::string("output") + message, g.output("caf\xe9", row));
  EXPECT_ERROR(std::string("metric") + message, g.metric("a,b", mean_squared_error(row, row)));
  EXPECT_ERROR("output: the name is empty", g.output("", row));
  EXPECT_NO_THROW(g.output("top-5 of (a/b)", row));
}

// A rule has no place of its own; the scope that it runs in has.
TEST_F(Errors, Updates) {
  const Tensor weight = g.parameter("weight", {7}, zeros(), true);
  EXPECT_ERROR("update: what is updated must be a parameter", LayerScope scope(g, "rule", Location::here()); g.update(row, row));
  EXPECT_ERROR("update: 'weight' takes a real value of 7 from its own graph, got Nx7", LayerScope scope(g, "rule", Location::here()); g.update(weight, row));
  g.update(weight, weight + 1.0);
  EXPECT_ERROR("update: 'weight' is updated already", LayerScope scope(g, "rule", Location::here()); g.update(weight, weight + 2.0));
}

Contraction product(std::vector<int64_t> extents, int64_t rank, std::vector<AffineIndex> left, std::vector<AffineIndex> right) {
  return {.loops = std::vector<std::string>(extents.size(), "loop"), .extents = extents, .output_rank = rank, .left = left, .right = right};
}

TEST_F(Errors, Contraction) {
  const Tensor weight = g.parameter("weight", {7, 7}, zeros(), true), vector = g.parameter("vector", {7}, zeros(), true);
  // The last batch has rows without data: what they hold is nothing that a Gram matrix may add.
  EXPECT_ERROR("contraction: a sum over the batch would count rows without data; reduce_sum() leaves them out", contraction(row, row, product({7, 7, kBatch}, 2, {{{0, 0, 1}}, {{1, 0, 0}}}, {{{0, 0, 1}}, {{0, 1, 0}}})));
  EXPECT_ERROR("contraction: the extent of loop 'loop' must be positive, got 0", contraction(weight, weight, product({7, 0}, 1, {{{1, 0}}, {{0, 1}}}, {{{1, 0}}, {{0, 1}}})));
  EXPECT_ERROR("contraction: dimension 0 of the left operand: the batch is read by its own loop alone, and by no other", contraction(row, weight, product({7, 7}, 1, {{{1, 0}}, {{0, 1}}}, {{{1, 0}}, {{0, 1}}})));
  EXPECT_ERROR("contraction: dimension 0 of the left operand: the batch is read by its own loop alone, and by no other", contraction(row, weight, product({kBatch, 7}, 1, {{{1, 0}, 1}, {{0, 1}}}, {{{0, 0}}, {{0, 1}}})));
  EXPECT_ERROR("contraction: dimension 1 of the right operand: the batch is read by its own loop alone, and by no other", contraction(row, weight, product({kBatch, 7}, 1, {{{1, 0}}, {{0, 1}}}, {{{0, 1}}, {{1, 0}}})));
  EXPECT_ERROR("contraction: dimension 0 of the right operand: positions beyond 32 bits", contraction(weight, weight, product({7, 7}, 1, {{{1, 0}}, {{0, 1}}}, {{{int64_t{1} << 30, 0}}, {{0, 1}}})));
  // What is read so has a value, and a gradient that is no contraction.
  const auto gradient = [&](Tensor value) { gradients(g, reshape(reduce_sum(value, {.axes = {0}}), {}), {vector, weight}); };
  EXPECT_ERROR("contraction: this one has no gradient that is a contraction: two dimensions of an operand follow one loop", gradient(contraction(weight, vector, product({7}, 1, {{{1}}, {{1}}}, {{{1}}}))));
  g.scope.reset();  // that of the gradient, which the error left open
  EXPECT_ERROR("contraction: this one has no gradient that is a contraction: a summed loop does not cover its operand's dimension", gradient(contraction(weight, vector, product({7, 5}, 1, {{{1, 0}}, {{0, 1}}}, {{{0, 1}}}))));
  g.scope.reset();
  EXPECT_ERROR("contraction: this one has no gradient that is a contraction: an operand's dimension depends on no loop", gradient(contraction(weight, vector, product({7}, 1, {{{1}}, {{0}, 3}}, {{{1}}}))));
}

// clang-format on

TEST_F(Errors, ReadAsThisInWhole) {
  const Location place = {"graphs/nowhere.cpp", 31};  // no such file: nothing to quote
  try {
    dense(image, {.units = 10}, place);
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "graphs/nowhere.cpp:31: dense: input must have rank 2, got Nx4x5x3; flatten() it");
  }
}

}  // namespace
}  // namespace kiln
