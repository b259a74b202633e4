#include "ops/dropout.h"

#include "ops/elementwise.h"
#include "ops/multiply.h"
#include "ops/random_uniform.h"
#include "ops/subtract.h"
#include "ops/where_positive.h"

namespace kiln {
namespace {

Type type(const Call& call) {
  const double rate = call.attribute<double>("rate");
  if (!(rate >= 0 && rate < 1)) call.fail(fmt::format("rate must be in [0, 1), got {}", rate));
  return same_type(call);
}

Tensor expand(const ExpandCall& call) {
  const Tensor x = call.inputs[0];
  const double rate = std::get<double>(call.attributes.at("rate"));
  if (!call.training || rate == 0) return x;
  const int64_t stream = std::get<int64_t>(call.attributes.at("stream"));
  const Tensor uniform = random_uniform(call.graph, {.shape = x.shape(), .stream = stream});
  return x * where_positive(rate - uniform, call.graph.constant(0), call.graph.constant(1 / (1 - rate)));
}

Sample sample(Choices& choices) {
  const double rate = choices.pick({0.0, 0.25, 0.4});
  return {.inputs = {{choices.any_shape()}},
          .build = [rate](const std::vector<Tensor>& in) { return dropout(in[0], {.rate = rate}); }};
}

}  // namespace

const Operator dropout_operator = {
    .name = "dropout",
    .documentation =
        "Inverted dropout (Srivastava et al. 2014; Keras Dropout): in training the part `rate` of the elements is zero "
        "and the "
        "others are scaled by 1 / (1 - rate); in prediction x itself. Each dropout of a graph draws its own numbers.",
    .type = type,
    .expand = expand,
    .sample = sample,
    .layer = "Dropout",
};

Tensor dropout(Tensor x, DropoutOptions options, Location location) {
  return x.graph().append(dropout_operator, {x}, {{"rate", options.rate}, {"stream", fresh_stream(x.graph())}},
                          location);
}

}  // namespace kiln
