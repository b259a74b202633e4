#include "ops/gelu.h"

#include <cmath>
#include <numbers>

#include "ops/add.h"
#include "ops/elementwise.h"
#include "ops/erf.h"
#include "ops/multiply.h"
#include "ops/square.h"
#include "ops/tanh.h"

namespace kiln {
namespace {

Tensor expand(const ExpandCall& call) {
  const Tensor x = call.inputs[0];
  if (std::get<bool>(call.attributes.at("approximate"))) {
    const double factor = std::sqrt(2 / std::numbers::pi);
    return 0.5 * x * (1.0 + tanh(x * (factor + factor * 0.044715 * square(x))));
  }
  return 0.5 * x * (1.0 + erf((1 / std::numbers::sqrt2) * x));
}

Sample sample(Choices& choices) {
  const bool approximate = choices.flip();
  return {.inputs = {{choices.any_shape()}},
          .build = [approximate](const std::vector<Tensor>& in) { return gelu(in[0], {.approximate = approximate}); },
          .low = -3,
          .high = 3};
}

}  // namespace

const Operator gelu_operator = {
    .name = "gelu",
    .documentation =
        "0.5 * x * (1 + erf(x / sqrt(2))) or, with `approximate`, 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * "
        "x^3))) "
        "(Hendrycks and Gimpel 2016; Keras gelu).",
    .type = same_type,
    .expand = expand,
    .sample = sample,
    .layer = "GELU",
};

Tensor gelu(Tensor x, GeluOptions options, Location location) {
  return x.graph().append(gelu_operator, {x}, {{"approximate", options.approximate}}, location);
}

}  // namespace kiln
