// Fused, scheduled, compiled programs against the unscheduled f64 evaluation of the same graph.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "driver/pipeline.h"
#include "dsl/graph.h"
#include "ops/contraction.h"
#include "ops/parameter.h"
#include "support/loaded_model.h"

namespace kiln {
namespace {

// f32 against f64: rounding of 2^-24 a step, in sums of at most some thousand terms, squared.
constexpr double kTolerance = 1e-7;

struct Case {
  const char* name;
  Graph (*build)();
};

Optimizer plain() { return sgd({.learning_rate = 1e-2, .momentum = 0.9}); }

void finish(Graph& g, Tensor x, int64_t classes, Optimizer optimizer, int64_t batch) {
  const Tensor p = softmax(dense(flatten(x), {.units = classes}));
  const Tensor label = g.label("digit", classes);
  g.output("probability", p);
  g.metric("accuracy", categorical_accuracy(p, label));
  g.train({.loss = categorical_cross_entropy(p, label), .optimizer = std::move(optimizer), .batch = batch});
}

const Case kCases[] = {
    {"small_convolutional",
     [] {
       Graph g{"small"};
       Tensor x = g.input("image", {9, 7, 2});
       x = batch_norm(relu(conv2d(x, {.filters = 5})), {.axis = 1});
       x = max_pool(x);
       x = zero_padding2d(x, {.padding = {1}});
       x = batch_norm(relu(conv2d(x, {.filters = 6, .kernel = {2, 2}})));
       finish(g, dropout(x, {.rate = 0.25}), 3, plain(), 20);
       return g;
     }},
    {"digits_like",
     [] {
       Graph g{"digits_like"};
       Tensor x = g.input("image", {14, 14, 1});
       x = batch_norm(relu(conv2d(x, {.filters = 8})), {.axis = 1, .epsilon = 1e-6});
       x = max_pool(x);
       x = zero_padding2d(x, {.padding = {1}});
       x = batch_norm(relu(conv2d(x, {.filters = 12})), {.axis = 1, .epsilon = 1e-6});
       x = max_pool(x);
       x = relu(dense(flatten(x), {.units = 96}));
       const Tensor p = softmax(dense(x, {.units = 10}));
       const Tensor label = g.label("digit", 10);
       g.output("probability", p);
       g.metric("accuracy", categorical_accuracy(p, label));
       g.train({.loss = binary_cross_entropy(p, label), .optimizer = plain(), .batch = 64});
       return g;
     }},
    {"strides_groups_dilation",
     [] {
       Graph g{"strides"};
       Tensor x = g.input("image", {11, 9, 4});
       x = elu(conv2d(x, {.filters = 6, .strides = {2, 2}, .padding = Padding::same(), .groups = 2}));
       x = tanh(conv2d(x, {.filters = 4, .kernel = {2, 2}, .dilation = {2, 2}}));
       x = depthwise_conv2d(x, {.kernel = {2, 2}});
       finish(g, x, 4, plain(), 16);
       return g;
     }},
    {"equal_values_in_a_window",  // relu's zeros: each window's cotangent must go to one of them
     [] {
       Graph g{"equal"};
       Tensor x = g.input("image", {6, 6, 4});
       x = max_pool(batch_norm(relu(conv2d(x, {.filters = 8, .padding = Padding::same()}))));
       finish(g, x, 4, sgd({.learning_rate = 1e-2}), 24);
       return g;
     }},
    {"residual_branches",
     [] {
       Graph g{"residual"};
       Tensor x = g.input("image", {6, 6, 8});
       const Tensor y = batch_norm(conv2d(x, {.filters = 8, .padding = Padding::same()}));
       x = relu(x + y);
       const Tensor a = average_pool(x),
                    b = max_pool(x, {.size = {3, 3}, .strides = {2, 2}, .padding = Padding::same()});
       x = concatenate({a, b}, {.axis = 3});
       x = gelu(conv2d(x, {.filters = 7, .kernel = {1, 1}, .kernel_l2 = 0.01}));
       finish(g, global_average_pool(x), 5, plain(), 33);
       return g;
     }},
    {"pooled_convolutions",
     [] {
       Graph g{"pooled"};
       Tensor x = g.input("image", {17, 15, 3});
       x = relu(batch_norm(conv2d(x, {.filters = 24, .padding = Padding::same()})));
       x = max_pool(x);  // by rows: the last row and column are in no window
       x = average_pool(conv2d(x, {.filters = 20, .padding = Padding::same()}), {.size = {2, 2}});  // by Winograd
       x = elu(min_pool(conv2d(x, {.filters = 17, .kernel = {2, 2}, .use_bias = false}), {.size = {1, 2}}));
       finish(g, x, 4, plain(), 16);
       return g;
     }},
    {"padded_constants",  // Halide knows that they are zero, and no padding may win against that
     [] {
       Graph g{"constants"};
       const Tensor x = g.input("image", {6, 6, 2});
       const PoolOptions windows = {.size = {3, 3}, .strides = {1, 2}, .padding = Padding::explicit_(0, 2, 1, 2)};
       finish(g, concatenate({flatten(max_pool(x - x, windows)), flatten(min_pool(x - x, windows)), flatten(x)}), 3,
              plain(), 33);
       return g;
     }},
    {"padded_features_few",
     [] {
       Graph g{"padded"};
       const Tensor x = pad(g.input("features", {13}), {.before = {0, 1}, .after = {0, 2}});
       finish(g, relu(dense(x, {.units = 16})), 3, plain(), 16);
       return g;
     }},
    {"padded_features",  // as many as are multiplied in blocks
     [] {
       Graph g{"padded"};
       const Tensor x = pad(g.input("features", {1008}), {.before = {0, 8}, .after = {0, 8}});
       finish(g, relu(dense(x, {.units = 12})), 3, plain(), 16);
       return g;
     }},
    {"padded_channels",  // of a convolution by Winograd
     [] {
       Graph g{"padded"};
       const Tensor x = pad(g.input("image", {14, 14, 8}), {.before = {0, 0, 0, 0}, .after = {0, 0, 0, 8}});
       finish(g, conv2d(x, {.filters = 16}), 3, plain(), 64);
       return g;
     }},
    {"stretched_weights",  // rows without data must not make log(0) of them
     [] {
       Graph g{"stretched"};
       const Tensor scale = parameter(g, "scale", {6}, {Initializer::Kind::constant, 0.5}, true, Location::here());
       const Tensor x = g.input("features", {6}) * log(broadcast_to(scale, {.shape = {kBatch, 6}}) + 1.0);
       finish(g, dense(x, {.units = 5}), 3, plain(), 20);
       return g;
     }},
    {"rows_counted_by_hand",  // of weights and constants alone, but not for all calls the same
     [] {
       Graph g{"counted"};
       const Tensor rows = reduce_sum(broadcast_to(g.constant(1), {.shape = {kBatch, 1}}), {.axes = {0}});
       const Tensor scale = parameter(g, "scale", {6}, {Initializer::Kind::constant, 0.5}, true, Location::here());
       g.metric("rows", reshape(rows, {}));
       g.metric("largest", reduce_max(broadcast_to(scale, {.shape = {kBatch, 6}}), {.axes = {0, 1}}));
       finish(g, dense(g.input("features", {6}) * scale, {.units = 5}), 3, plain(), 20);
       return g;
     }},
    {"weights_as_results",
     [] {
       Graph g{"results"};
       const Tensor alpha = parameter(g, "alpha", {}, {Initializer::Kind::constant, 0.3}, true, Location::here());
       g.metric("alpha", alpha);
       g.metric("rate", g.scalar("learning_rate"));
       g.output("twice", reshape(alpha * 1.0, {1}));
       finish(g, dense(g.input("features", {6}), {.units = 5}) * alpha, 3, plain(), 16);
       return g;
     }},
    {"previous_weights",  // an update whose value is a parameter that is updated, too
     [] {
       Optimizer optimizer = sgd();
       optimizer.name = "previous";
       optimizer.update = [](const OptimizerCall& call) {
         call.graph.update(call.state("previous"), call.weight);
         call.graph.update(call.weight, call.weight - call.learning_rate * call.gradient);
       };
       Graph g{"previous"};
       finish(g, dense(g.input("features", {6}), {.units = 5}), 3, optimizer, 16);
       return g;
     }},
    {"multiplied_weights",  // an update that reads all of what it overwrites
     [] {
       Optimizer optimizer = sgd();
       optimizer.name = "mixing";
       optimizer.update = [](const OptimizerCall& call) {
         Tensor value = call.weight - call.learning_rate * call.gradient;
         if (call.weight.shape() == Shape{5, 5}) {
           const Contraction product = {.loops = {"row", "column", "k"},
                                        .extents = {5, 5, 5},
                                        .output_rank = 2,
                                        .left = {{{1, 0, 0}}, {{0, 0, 1}}},
                                        .right = {{{0, 0, 1}}, {{0, 1, 0}}}};
           value = contraction(call.weight, call.weight, product);
         }
         call.graph.update(call.weight, value);
       };
       Graph g{"mixing"};
       finish(g, dense(dense(g.input("features", {6}), {.units = 5}), {.units = 5}), 3, optimizer, 16);
       return g;
     }},
    {"doubled_weights",  // each is used twice: what walks every way from the end walks 2^40
     [] {
       Graph g{"doubled"};
       Tensor p = parameter(g, "p", {6}, {Initializer::Kind::constant, 0.1}, true, Location::here());
       for (int i = 0; i < 40; ++i) p = 0.5 * tanh(p) + 0.1 * p * p;
       finish(g, g.input("features", {6}) + p, 3, plain(), 16);
       return g;
     }},
    {"clipped_normalisation",  // its gradient must not ask whether a value computed again equals the stored one
     [] {
       Graph g{"clipped"};
       finish(g, clip(batch_norm(g.input("features", {50})), {.min = 0, .max = 1}), 11, sgd({.learning_rate = 1.0}),
              24);
       return g;
     }},
    {"sums_of_one_element",
     [] {
       Graph g{"one"};
       Tensor x = global_average_pool(batch_norm(g.input("image", {1, 1, 6})));
       x = reduce_max(reshape(x, {kBatch, 1, 6, 1}) + 1.0, {.axes = {1, 3}});
       finish(g, x, 3, plain(), 16);
       return g;
     }},
    {"weights_with_rows_of_units",  // x * W of an encoder and its transpose, square too: no rows of W are read
     [] {
       Graph g{"tied"};
       const auto times = [&](Tensor x, Tensor w, int64_t summed, int64_t units, size_t by) {
         Contraction product = {.loops = {"n", "u", "k"},
                                .extents = {kBatch, units, summed},
                                .output_rank = 2,
                                .left = {{{1, 0, 0}}, {{0, 0, 1}}},
                                .right = {{{0, 0, 1}}, {{0, 0, 1}}}};
         product.right[1 - by].coefficients = {0, 1, 0};
         return contraction(x, w, product);
       };
       const Initializer small = glorot_uniform(256, 64);
       const Tensor w = g.parameter("w", {256, 64}, small, true),
                    square = g.parameter("square", {128, 128}, small, true);
       Tensor x = times(g.input("features", {256}), w, 256, 64, 0);
       x = times(tanh(times(tanh(x), w, 64, 256, 1)), g.parameter("v", {256, 128}, small, true), 256, 128, 0);
       finish(g, times(x, square, 128, 128, 0), 3, plain(), 16);
       return g;
     }},
    {"a_long_sum_over_padding",  // the loop begins before the row and ends after it
     [] {
       Graph g{"padded"};
       const Contraction product = {.loops = {"n", "u", "k"},
                                    .extents = {kBatch, 6, 1152},
                                    .output_rank = 2,
                                    .left = {{{1, 0, 0}}, {{0, 0, 1}, -5}},
                                    .right = {{{0, 1, 0}}, {{0, 0, 1}}}};
       const Tensor w = g.parameter("w", {6, 1152}, glorot_uniform(1152, 6), true);
       finish(g, contraction(g.input("features", {1140}), w, product), 3, plain(), 32);
       return g;
     }},
    {"norms_of_equal_weights",  // thousands of squares in each of several sums of one kernel
     [] {
       Graph g{"norms"};
       Tensor x = g.input("features", {96});
       for (int i = 0; i < 3; ++i) x = tanh(dense(x, {.units = 96, .kernel_l2 = 1e-3}));
       finish(g, x, 3, sgd({.global_clip_norm = 0.05}), 16);
       return g;
     }},
    {"updates_that_are_reported",
     [] {
       Graph g{"reported"};
       const Tensor state = g.parameter("state", {}, ones(), false);
       const Tensor x = g.input("features", {6}), value = state * 0.5 + reshape(reduce_mean(x, {.axes = {0, 1}}), {});
       g.update(state, value);
       g.metric("state", value);
       finish(g, dense(x, {.units = 5}), 3, plain(), 16);
       return g;
     }},
    {"multi_layer_perceptron",
     [] {
       Graph g{"mlp"};
       Tensor x = g.input("features", {37});
       x = selu(dense(x, {.units = 53}));
       x = alpha_dropout(x, {.rate = 0.1});
       x = sigmoid(dense(x, {.units = 1100}));
       x = leaky_relu(dense(x, {.units = 64}));
       finish(g, x, 3, plain(), 48);
       return g;
     }},
};

class ProgramTest : public testing::TestWithParam<Case> {};

TEST_P(ProgramTest, EqualsTheReference) {
  const Graph graph = GetParam().build();
  const Model model = build_model(graph);
  const LoadedModel loaded(model);
  const auto run = [&](const Program& program, StepData& step) { run_step(*loaded, program.name, step); };
  for (const Program& program : model.programs) {
    const std::vector<int64_t> counts =
        program.name == "predict_one" ? std::vector<int64_t>{1} : std::vector<int64_t>{graph.batch, graph.batch - 3};
    for (const int64_t count : counts) {
      for (const Difference& difference : compare_with_reference(model, program.name, count, 7, run))
        EXPECT_LE(difference.error, kTolerance) << program.name << " with " << count << " rows: " << difference.name;
    }
  }
  EXPECT_EQ(model.programs.size(), 4U);  // train, evaluate, predict, predict_one
}

// A kernel of one column meets columns of padding alone. Halide warns of a check that kernels leave out.
TEST(ProgramKernels, CompileWithoutAWordOfHalide) {
  Graph g{"padded_columns"};
  const Tensor x =
      conv2d(g.input("image", {8, 6, 4}), {.filters = 7, .kernel = {4, 1}, .padding = Padding::explicit_(1, 0, 2, 2)});
  finish(g, x, 3, plain(), 16);
  ::testing::internal::CaptureStderr();
  const auto differences = compare_with_reference(build_model(g), "train", 16, 7);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  for (const Difference& difference : differences) EXPECT_LE(difference.error, kTolerance) << difference.name;
}

// The trainer's --label-smoothing is the graph file's label_smoothing; without either, labels are as they are.
TEST(ProgramKernels, SmoothLabelsByTheScalarAsByTheGraph) {
  for (const bool categorical : {true, false}) {
    const auto build = [&](double smoothing) {
      Graph g{"smoothed"};
      const Tensor p = softmax(dense(g.input("features", {9}), {.units = 5}));
      const Tensor label = g.label("digit", 5);
      g.output("probability", p);
      const Tensor loss = categorical ? categorical_cross_entropy(p, label, {.label_smoothing = smoothing})
                                      : binary_cross_entropy(p, label, {.label_smoothing = smoothing});
      g.train({.loss = loss, .optimizer = sgd({.learning_rate = 1.0}), .batch = 16});
      return build_model(g);
    };
    // The loss and the state after one step.
    const auto results = [&](double in_graph, float by_scalar) {
      const Model model = build(in_graph);
      const LoadedModel loaded(model);
      EXPECT_EQ(loaded->smooths_labels, in_graph == 0);
      StepData step = random_step(model, program_named(model, "train"), 16, 7);
      step.scalars.learning_rate = 1;
      step.scalars.label_smoothing = by_scalar;
      run_step(*loaded, "train", step);
      std::vector<float> values(step.state.at<float>(0), step.state.at<float>(0) + loaded->state_bytes / sizeof(float));
      values.push_back(*step.arena.at<float>(loaded->train->outputs[0].offset));
      return values;
    };
    const std::vector<float> graph = results(0.2, 0), scalar = results(0, 0.2F), none = results(0, 0);
    EXPECT_GT(std::abs(none.back() - scalar.back()), 0.01);
    for (size_t i = 0; i < graph.size(); ++i)
      EXPECT_NEAR(scalar[i], graph[i], 1e-6 * std::max(1.0F, std::abs(graph[i]))) << i;  // a few roundings of f32
  }
}

// What a row's prediction is must not depend on how rows are divided: no program of one row where a batch is looked at.
TEST(ProgramKernels, OfOneRowAreNoneWhereRowsDependOnEachOther) {
  Graph g{"centred"};
  const Tensor y = dense(g.input("features", {6}), {.units = 5});
  g.output("y", y - reduce_mean(y, {.axes = {0}}));
  const Model model = build_model(g);
  EXPECT_EQ(model.programs.size(), 1U);
  for (const Difference& difference : compare_with_reference(model, "predict", 13, 7))
    EXPECT_LE(difference.error, kTolerance) << difference.name;
  EXPECT_EQ(LoadedModel(model)->predict_one, nullptr);
}

// Profilers and tuners run a program kernel by kernel: nothing that the step does may be left out then.
TEST(ProgramKernels, InTheirOrderAreTheStep) {
  Graph g{"l2"};  // RMSprop's state depends on the weight's old value: one of the two is copied after the kernels
  finish(g, dense(g.input("features", {9}), {.units = 7, .kernel_l2 = 0.01}), 3, rmsprop(), 16);
  const Model model = build_model(g);
  const Program& program = program_named(model, "train");
  ASSERT_FALSE(program.copies.empty());
  const LoadedModel loaded(model);
  StepData whole = random_step(model, program, 16, 7), single = random_step(model, program, 16, 7);
  run_step(*loaded, "train", whole);
  const kiln_program& train = *loaded->train;
  for (int k = 0; k < train.kernel_count; ++k) {
    train.kernels[k].run(nullptr, single.arena.data(), single.state.data(), &single.scalars);
  }
  EXPECT_STREQ(train.kernels[train.kernel_count - 1].name, "copies");
  EXPECT_EQ(std::memcmp(whole.state.data(), single.state.data(), loaded->state_bytes), 0);
}

INSTANTIATE_TEST_SUITE_P(Graphs, ProgramTest, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace kiln
