#include "ops/dense.h"

#include "ops/add.h"
#include "ops/contraction.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const Shape& x = call.shape(0);
  if (x.size() != 2) call.fail(fmt::format("input must have rank 2, got {}; flatten() it", to_string(x)));
  return {{x[0], call.shape(1)[0]}, ElementType::real};
}

Tensor expand(const ExpandCall& call) {
  const Shape kernel = call.inputs[1].shape();
  const Contraction product = {.loops = {"batch", "output", "input"},
                               .extents = {kBatch, kernel[0], kernel[1]},
                               .output_rank = 2,
                               .left = {{{1, 0, 0}}, {{0, 0, 1}}},
                               .right = {{{0, 1, 0}}, {{0, 0, 1}}}};
  const Tensor result = contraction(call.inputs[0], call.inputs[1], product);
  return call.inputs.size() == 3 ? result + call.inputs[2] : result;
}

Sample sample(Choices& choices) {
  const DenseOptions options = {.units = choices.extent(choices.elements()), .use_bias = choices.flip()};
  return {.inputs = {{choices.shape(2, true)}},
          .build = [options](const std::vector<Tensor>& in) { return dense(in[0], options); }};
}

}  // namespace

const Operator dense_operator = {
    .name = "dense",
    .documentation =
        "A fully connected layer (Keras Dense): x * kernel^T + bias, N x inputs to N x units. The kernel starts as "
        "Glorot "
        "uniform, the bias as zero.",
    .type = type,
    .expand = expand,
    .sample = sample,
    .layer = "Dense",
};

Tensor dense(Tensor x, DenseOptions options, Location location) {
  Graph& graph = x.graph();
  const LayerScope layer(graph, "dense", location);
  const auto fail = [&](const std::string& message) { throw UserError(location, "dense", message); };
  if (options.units < 1) fail(fmt::format("units must be positive, got {}", options.units));
  if (!has_batch(x.shape())) fail(fmt::format("input must have the batch dimension, got {}", to_string(x.shape())));
  if (x.shape().size() != 2) fail(fmt::format("input must have rank 2, got {}; flatten() it", to_string(x.shape())));
  const int64_t inputs = x.shape()[1];
  const Initializer initializer = options.kernel_initializer.value_or(glorot_uniform(inputs, options.units));
  const Tensor kernel = graph.parameter("kernel", {options.units, inputs}, initializer, true, location);
  graph.regularize(kernel, options.kernel_l2);
  std::vector<Tensor> operands = {x, kernel};
  if (options.use_bias) operands.push_back(graph.parameter("bias", {options.units}, zeros(), true, location));
  return graph.append(dense_operator, operands, {}, location);
}

}  // namespace kiln
