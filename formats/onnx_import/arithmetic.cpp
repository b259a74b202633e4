#include <cmath>

#include "onnx_import/rules.h"

namespace kiln::from_onnx {
namespace {

Value integer_arithmetic(Call& call, const std::string& op, const Value& a, const Value& b) {
  const size_t count = std::max(a.integers->size(), b.integers->size());
  Ints result;
  for (size_t i = 0; i < count; ++i) {
    if ((a.integers->size() != count && a.integers->size() != 1) ||
        (b.integers->size() != count && b.integers->size() != 1))
      call.refuse("the shapes do not fit together");
    const int64_t x = (*a.integers)[a.integers->size() == 1 ? 0 : i],
                  y = (*b.integers)[b.integers->size() == 1 ? 0 : i];
    if (x == kBatchSymbol || y == kBatchSymbol) call.refuse("counts with the number of rows, which Kiln does not");
    if (std::abs(x) > INT32_MAX || std::abs(y) > INT32_MAX) call.refuse("counts with impossible extents");
    if (op == "divide" && y == 0) call.refuse("divides by zero");
    result.push_back(op == "add" ? x + y : op == "subtract" ? x - y : op == "multiply" ? x * y : x / y);
  }
  Value value = integers_of(result);
  value.shape = broadcast(call, a.shape, b.shape);
  if (element_count(value.shape) != static_cast<int64_t>(count)) call.refuse("the shapes do not fit together");
  return value;
}

Value of_two(Importer& importer, Call& call, const std::string& op) {
  const Value &a = call[0], &b = call[1];
  if (a.integers && b.integers) return integer_arithmetic(call, op, a, b);
  if (op == "multiply" && call.node.input(0) == call.node.input(1) && a.is_tensor())
    return like(a, importer.unary("square", a.node));
  return importer.combine(call, op, {a, b});
}

Value of_all(Importer& importer, Call& call, const std::string& op) {
  Value result = call.inputs.size() == 1 ? importer.as_tensor(call, 0) : call[0];
  for (size_t i = 1; i < call.inputs.size(); ++i) result = importer.combine(call, op, {result, call[i]});
  return result;
}

}  // namespace

Rule element_wise(const std::string& op) {
  return [op](Importer& importer, Call& call) {
    const Value x = importer.as_tensor(call, 0);
    return like(x, importer.unary(op, x.node));
  };
}

Rule binary(const std::string& op) {
  return [op](Importer& importer, Call& call) { return of_two(importer, call, op); };
}

Rule many(const std::string& op) {
  return [op](Importer& importer, Call& call) { return of_all(importer, call, op); };
}

Value add(Importer& importer, Call& call) {
  const Value &a = call[0], &b = call[1];
  if (importer.is_biased(call.node.input(0))) return a;  // what is added became the dense layer's bias
  if (importer.is_biased(call.node.input(1))) return b;
  return of_two(importer, call, "add");
}

Value mean(Importer& importer, Call& call) {
  const Value sum = of_all(importer, call, "add");
  const auto count = static_cast<double>(call.inputs.size());
  return count == 1 ? sum : importer.combine(call, "divide", {sum, number(count)});
}

Value negate(Importer& importer, Call& call) {
  const Value x = importer.as_tensor(call, 0);
  // -max(-x) of windows has a name of its own.
  if (importer.build.op(x.node) == "max_pool" && importer.build.op(importer.build.inputs(x.node)[0]) == "negate") {
    const int source = importer.build.inputs(importer.build.inputs(x.node)[0])[0];
    const Ints shape = importer.build.shape(x.node);
    return like(x, importer.build.add("min_pool", {source}, importer.build.attributes(x.node), shape));
  }
  return like(x, importer.unary("negate", x.node));
}

Value reciprocal(Importer& importer, Call& call) {
  return importer.combine(call, "divide", {number(1), importer.as_tensor(call, 0)});
}

Value power(Importer& importer, Call& call) {
  const Value x = importer.as_tensor(call, 0);
  const Array& exponent = call.numbers(1, "exponent");
  const float power = exponent.values.size() == 1 ? exponent.values[0] : 0;
  if (power == 1) return x;
  if (power == 2) return like(x, importer.unary("square", x.node));
  if (power == 3) return importer.combine(call, "multiply", {x, like(x, importer.unary("square", x.node))});
  if (power == 0.5F) return like(x, importer.unary("sqrt", x.node));
  call.refuse("its exponent is none of 0.5, 1, 2 and 3");
}

Value greater(Importer& importer, Call& call) {
  const Value x = importer.as_tensor(call, 0);
  const Array& other = call.numbers(1, "right side");
  if (other.values.size() != 1 || other.values[0] != 0) call.refuse("compares with something else than 0");
  Value result = x;
  result.positive = true;
  return result;
}

Value where(Importer& importer, Call& call) {
  Value condition = call[0];
  if (!condition.positive) call.refuse("its condition is not a Greater of 0");
  condition.positive = false;
  return importer.combine(call, "where_positive", {condition, call[1], call[2]});
}

Value identity(Importer&, Call& call) { return call[0]; }

}  // namespace kiln::from_onnx
