#include "ops/batch_norm.h"

#include "ops/add.h"
#include "ops/divide.h"
#include "ops/elementwise.h"
#include "ops/maximum.h"
#include "ops/multiply.h"
#include "ops/reduce_sum.h"
#include "ops/reshape.h"
#include "ops/sqrt.h"
#include "ops/square.h"
#include "ops/subtract.h"

namespace kiln {
namespace {

// Training: the batch's statistics (biased variance, as mean of squares minus squared mean, which lets one pass over x
// suffice); moving = momentum * moving + (1 - momentum) * batch's. Inference: the moving statistics.
Tensor expand(const ExpandCall& call) {
  Graph& graph = call.graph;
  const Tensor x = call.inputs[0], moving_mean = call.inputs[3], moving_variance = call.inputs[4];
  const int64_t axis = std::get<int64_t>(call.attributes.at("axis"));
  const double epsilon = std::get<double>(call.attributes.at("epsilon"));
  const double momentum = std::get<double>(call.attributes.at("momentum"));
  const Shape& shape = x.shape();

  Shape kept(shape.size() - 1, 1);  // broadcasts against x
  kept[axis - 1] = shape[axis];
  const auto aligned = [&](Tensor statistic) { return reshape(statistic, kept); };
  const Tensor gamma = aligned(call.inputs[1]), beta = aligned(call.inputs[2]);

  Tensor mean = aligned(moving_mean), variance = aligned(moving_variance);
  if (call.training) {
    std::vector<int64_t> axes;
    int64_t others = 1;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (static_cast<int64_t>(i) == axis) continue;
      axes.push_back(static_cast<int64_t>(i));
      if (i > 0) others *= shape[i];
    }
    const Tensor scale = 1.0 / (static_cast<double>(others) * graph.scalar("count"));
    mean = reduce_sum(x, {.axes = axes}) * scale;
    // A statement for each operand that makes nodes: C++ leaves their order to its compilers, and it decides numbers.
    const Tensor zero = graph.constant(0), squared_mean = square(mean);
    variance = maximum(reduce_sum(square(x), {.axes = axes}) * scale - squared_mean, zero);
    for (const auto& [moving, now] : {std::pair{moving_mean, mean}, {moving_variance, variance}}) {
      const Tensor added = (1 - momentum) * reshape(now, moving.shape());
      graph.update(moving, momentum * moving + added);
    }
  }
  const Tensor factor = gamma / sqrt(variance + epsilon);
  return (x - mean) * factor + beta;
}

Sample sample(Choices& choices) {
  const Shape x = choices.shape(choices.integer(2, 4), true);
  const int64_t axis = choices.integer(1, std::ssize(x) - 1);
  const double epsilon = choices.pick({1e-2, 1e-3});
  return {.inputs = {{x}},
          .build = [=](const std::vector<Tensor>& in) { return batch_norm(in[0], {.axis = axis, .epsilon = epsilon}); },
          .least_rows = 3};
}

}  // namespace

const Operator batch_norm_operator = {
    .name = "batch_norm",
    .documentation =
        "Batch normalisation (Ioffe and Szegedy 2015; Keras BatchNormalization): (x - mean) / sqrt(variance + epsilon) "
        "* "
        "gamma + beta, with the statistics of every dimension but `axis` in training and their moving averages in "
        "prediction. `axis = -1` is channel normalisation.",
    .type = same_type,
    .expand = expand,
    .sample = sample,
    .layer = "BatchNorm",
};

Tensor batch_norm(Tensor x, BatchNormOptions options, Location location) {
  Graph& graph = x.graph();
  const LayerScope layer(graph, "batch_norm", location);
  const int64_t rank = static_cast<int64_t>(x.shape().size());
  const int64_t axis = options.axis < 0 ? options.axis + rank : options.axis;
  if (!has_batch(x.shape())) {
    throw UserError(location, "batch_norm",
                    fmt::format("input must have the batch dimension, got {}", to_string(x.shape())));
  }
  if (axis < 1 || axis >= rank) {
    throw UserError(
        location, "batch_norm",
        fmt::format("axis {} is not a dimension of {} beside the batch", options.axis, to_string(x.shape())));
  }
  if (!(options.momentum >= 0 && options.momentum <= 1))
    throw UserError(location, "batch_norm", fmt::format("momentum must be in [0, 1], got {}", options.momentum));
  if (!(options.epsilon >= 0))
    throw UserError(location, "batch_norm", fmt::format("epsilon must not be negative, got {}", options.epsilon));
  const Shape shape = {x.shape()[axis]};
  return graph.append(batch_norm_operator,
                      {x, graph.parameter("gamma", shape, ones(), true, location),
                       graph.parameter("beta", shape, zeros(), true, location),
                       graph.parameter("moving_mean", shape, zeros(), false, location),
                       graph.parameter("moving_variance", shape, ones(), false, location)},
                      {{"axis", axis}, {"momentum", options.momentum}, {"epsilon", options.epsilon}}, location);
}

}  // namespace kiln
