#include "ops/erf.h"

#include <numbers>

#include "ops/definition.h"
#include "ops/elementwise.h"
#include "ops/exp.h"
#include "ops/multiply.h"
#include "ops/negate.h"
#include "ops/square.h"

namespace kiln {
namespace {

// In f32 the odd rational approximation of Eigen and XLA, within a few ulp of 1: libm's erff would keep the kernel
// scalar. The f64 reference uses libm.
Halide::Expr erf_of(const Operands& in, const Halide::Expr& x) {
  if (in.real() != Halide::Float(32)) {
    return Halide::Internal::Call::make(in.real(), "erf", {x}, Halide::Internal::Call::PureExtern);
  }
  const Halide::Expr z = Halide::clamp(x, in.constant(-4), in.constant(4));
  const Halide::Expr z2 = z * z;
  const auto polynomial = [&](std::initializer_list<double> coefficients) {
    Halide::Expr sum = in.constant(0);
    for (const double coefficient : coefficients) sum = sum * z2 + in.constant(coefficient);
    return sum;
  };
  const Halide::Expr numerator =
      polynomial({-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
                  -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02});
  const Halide::Expr denominator = polynomial({-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03,
                                               -7.37332916720468e-03, -1.42647390514189e-02});
  return z * numerator / denominator;
}

Definition define(const Call& call) {
  return pointwise(
      call, [](const Operands& in, const auto& x) { return erf_of(in, x[0]); }, 22);
}

std::vector<Tensor> gradient(const GradientCall& call) {
  const double factor = 2 * std::numbers::inv_sqrtpi;
  return {call.cotangent * (factor * exp(negate(square(call.inputs[0]))))};
}

Sample sample(Choices& choices) { return unary_sample(choices, erf, -1.5, 1.5); }

}  // namespace

const Operator erf_operator = {
    .name = "erf",
    .documentation =
        "The error function 2 / sqrt(pi) * integral of e^(-t^2) from 0 to x, element by element (ONNX Erf).",
    .type = same_type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor erf(Operand x) { return x.tensor.graph().append(erf_operator, {x.tensor}, {}, x.location); }

}  // namespace kiln
