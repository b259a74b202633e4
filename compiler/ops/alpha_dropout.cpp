#include "ops/alpha_dropout.h"

#include <cmath>

#include "ops/add.h"
#include "ops/elementwise.h"
#include "ops/multiply.h"
#include "ops/random_uniform.h"
#include "ops/selu.h"
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
  const double limit = -kSeluScale * kSeluAlpha;
  const double scale = 1 / std::sqrt((1 - rate) * (1 + rate * limit * limit));
  const double shift = -scale * limit * rate;
  return where_positive(rate - uniform, call.graph.constant(scale * limit + shift), scale * x + shift);
}

Sample sample(Choices& choices) {
  const double rate = choices.pick({0.0, 0.25, 0.4});
  return {.inputs = {{choices.any_shape()}},
          .build = [rate](const std::vector<Tensor>& in) { return alpha_dropout(in[0], {.rate = rate}); }};
}

}  // namespace

const Operator alpha_dropout_operator = {
    .name = "alpha_dropout",
    .documentation =
        "Dropout for selu (Klambauer et al. 2017; Keras AlphaDropout): the part `rate` of the elements takes selu's "
        "limit "
        "l = -scale * alpha, then all become a * x + b with a = ((1 - rate) * (1 + rate * l^2))^(-1/2) and "
        "b = -a * l * rate, which keeps mean 0 and variance 1; in prediction x itself.",
    .type = type,
    .expand = expand,
    .sample = sample,
    .layer = "AlphaDropout",
};

Tensor alpha_dropout(Tensor x, AlphaDropoutOptions options, Location location) {
  return x.graph().append(alpha_dropout_operator, {x}, {{"rate", options.rate}, {"stream", fresh_stream(x.graph())}},
                          location);
}

}  // namespace kiln
