#include <fmt/format.h>

#include <cmath>

#include "onnx_import/rules.h"

namespace kiln::from_onnx {
namespace {

Value with_number(Importer& importer, Call& call, const std::string& op, const char* theirs, const char* ours,
                  double otherwise) {
  const Value x = importer.as_tensor(call, 0);
  return like(x, importer.unary(op, x.node, {{ours, call.real(theirs, otherwise)}}));
}

/// min(max(alpha * x + beta, 0), 1)
Value hard_sigmoid_of(Importer& importer, Call& call, const Value& x, double alpha, double beta) {
  const Value line =
      importer.combine(call, "add", {importer.combine(call, "multiply", {x, number(alpha)}), number(beta)});
  return like(line, importer.unary("clip", line.node, {{"min", 0.0}, {"max", 1.0}}));
}

}  // namespace

Value leaky_relu(Importer& importer, Call& call) {
  return with_number(importer, call, "leaky_relu", "alpha", "negative_slope", 0.01);
}

Value elu(Importer& importer, Call& call) { return with_number(importer, call, "elu", "alpha", "alpha", 1); }

Value selu(Importer& importer, Call& call) {
  const Value x = importer.as_tensor(call, 0);
  const double alpha = call.real("alpha", 1.6732632), gamma = call.real("gamma", 1.050701);
  if (std::abs(alpha - 1.6732632423543772) > 1e-6 || std::abs(gamma - 1.0507009873554805) > 1e-6) {
    const Value curve = like(x, importer.unary("elu", x.node, {{"alpha", alpha}}));
    return importer.combine(call, "multiply", {curve, number(gamma)});
  }
  return like(x, importer.unary("selu", x.node));
}

Value gelu(Importer& importer, Call& call) {
  const Value x = importer.as_tensor(call, 0);
  const std::string how = call.text("approximate", "none");
  if (how != "none" && how != "tanh") call.refuse(fmt::format("attribute approximate is {}", printable(how)));
  return like(x, importer.unary("gelu", x.node, {{"approximate", how == "tanh"}}));
}

Value hard_sigmoid(Importer& importer, Call& call) {
  const double alpha = call.real("alpha", 0.2), beta = call.real("beta", 0.5);
  return hard_sigmoid_of(importer, call, importer.as_tensor(call, 0), alpha, beta);
}

Value hard_swish(Importer& importer, Call& call) {
  const Value x = importer.as_tensor(call, 0);
  return importer.combine(call, "multiply", {x, hard_sigmoid_of(importer, call, x, 1.0 / 6, 0.5)});
}

Value mish(Importer& importer, Call& call) {
  const Value x = importer.as_tensor(call, 0);
  return importer.combine(call, "multiply", {x, like(x, importer.unary("tanh", importer.unary("softplus", x.node)))});
}

Value softsign(Importer& importer, Call& call) {
  const Value x = importer.as_tensor(call, 0);
  return importer.combine(call, "divide",
                          {x, importer.combine(call, "add", {like(x, importer.unary("abs", x.node)), number(1)})});
}

Value prelu(Importer& importer, Call& call) {
  const Value x = importer.as_tensor(call, 0);
  Value slope = call[1];
  if (call.operator_set < 7 && slope.rank() == 1 && slope.shape[0] > 1 && x.rank() > 2) {
    Ints of_channels(x.rank() - 1, 1);  // since operator set 7 NumPy's rules hold
    of_channels[0] = slope.shape[0];
    slope = importer.with_shape(slope, of_channels);
  }
  return importer.combine(call, "where_positive", {x, x, importer.combine(call, "multiply", {x, slope})});
}

Value clip(Importer& importer, Call& call) {
  const Value x = importer.as_tensor(call, 0);
  double low = -INFINITY, high = INFINITY;
  const auto bound = [&](size_t i, const char* name, double& value) {
    if (call.operator_set < 11) {
      value = call.real(name, value);
    } else if (call.optional(i)) {
      if (call.numbers(i, name).values.size() != 1) call.refuse(fmt::format("its {} is no single number", name));
      value = as_written(call.numbers(i, name).values[0]);
    }
  };
  bound(1, "min", low);
  bound(2, "max", high);
  if (low == 0 && high == INFINITY) return like(x, importer.unary("relu", x.node));
  if (std::abs(low) < 1e38 && std::abs(high) < 1e38) {
    // ONNX: where min is above max, everything is max.
    return like(x, importer.unary("clip", x.node, {{"min", std::min(low, high)}, {"max", high}}));
  }
  Value result = x;
  if (std::abs(low) < 1e38) result = importer.combine(call, "maximum", {result, number(low)});
  if (std::abs(high) < 1e38) result = importer.combine(call, "minimum", {result, number(high)});
  return result;
}

Value dropout(Importer& importer, Call& call) {
  double rate = call.real("ratio", 0.5);
  call.integer("seed", 0);
  if (call.optional(1)) {
    if (call.numbers(1, "ratio").values.size() != 1) call.refuse("its ratio is no single number");
    rate = as_written(call.numbers(1, "ratio").values[0]);
  }
  if (call.optional(2) && call.known_integers(2, "training_mode") != Ints{0})
    call.refuse("is in training mode; export the model for inference");
  const Value x = importer.as_tensor(call, 0);
  if (rate < 0 || rate >= 1) call.refuse(fmt::format("its ratio is {}", rate));
  return rate == 0 ? x : like(x, importer.unary("dropout", x.node, {{"rate", rate}}));
}

}  // namespace kiln::from_onnx
