#include "ops/tanh.h"

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/multiply.h"
#include "ops/square.h"
#include "ops/subtract.h"

namespace kiln {
namespace {

// In f32 the odd rational approximation of Eigen and XLA (ptanh_float), within a few ulp: a call of libm's tanhf would
// keep the kernel scalar. The f64 reference uses libm.
Halide::Expr tanh_of(const Operands& in, const Halide::Expr& x) {
  if (in.real() != Halide::Float(32)) return Halide::tanh(x);
  const Halide::Expr z = Halide::clamp(x, in.constant(-7.90531110763549805), in.constant(7.90531110763549805));
  const Halide::Expr z2 = z * z;
  const auto polynomial = [&](std::initializer_list<double> coefficients) {
    Halide::Expr sum = in.constant(0);
    for (const double coefficient : coefficients) sum = sum * z2 + in.constant(coefficient);
    return sum;
  };
  const Halide::Expr numerator =
      polynomial({-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
                  1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03});
  const Halide::Expr denominator =
      polynomial({1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03});
  return z * numerator / denominator;
}

Definition define(const Call& call) {
  return pointwise(
      call, [](const Operands& in, const auto& x) { return tanh_of(in, x[0]); }, 20);
}

std::vector<Tensor> gradient(const GradientCall& call) { return {call.cotangent * (1.0 - square(call.output))}; }

Sample sample(Choices& choices) { return unary_sample(choices, tanh, -2, 2); }

}  // namespace

const Operator tanh_operator = {
    .name = "tanh",
    .documentation = "The hyperbolic tangent, element by element (Keras tanh).",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
    .layer = "Tanh",
};

Tensor tanh(Operand x) { return x.tensor.graph().append(tanh_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
