#include <fmt/format.h>

#include "onnx_import/rules.h"
#include "parameters.h"

namespace kiln::from_onnx {
namespace {

/// x of N x K times a constant of K x M, given as M x K.
Value dense(Importer& importer, Call& call, const Value& x, Array kernel, std::optional<Array> bias) {
  const int64_t units = kernel.shape[0], inputs = kernel.shape[1];
  if (x.shape.back() != inputs)
    call.refuse(fmt::format("{} times a matrix of {}x{} is not possible", text(x.shape), inputs, units));
  std::vector<NetworkBuilder::Weight> weights = {{"kernel", std::move(kernel), 1, glorot(inputs, units)}};
  if (bias) weights.push_back({"bias", std::move(*bias)});
  if (x.rank() == 2) {
    const Ints shape = {kBatchExtent, units};
    return tensor(
        importer.build.add_layer("dense", importer.plain(x), std::move(weights), nlohmann::json::object(), shape),
        shape);
  }
  // Of more dimensions: a convolution of 1x1, whose positions they are.
  const int64_t positions = element_count(Ints(x.shape.begin() + 1, x.shape.end() - 1));
  weights[0].values.shape = {units, 1, 1, inputs};
  const int node = importer.build.add_layer(
      "conv2d", importer.reshaped(importer.plain(x), {kBatchExtent, positions, 1, inputs}), std::move(weights),
      {{"windows", Ints{positions, 1, 1, 1, 0, positions, 1, 1, 1, 1, 0, 1}}, {"groups", 1}},
      {kBatchExtent, positions, 1, units});
  Ints shape = x.shape;
  shape.back() = units;
  return tensor(importer.reshaped(node, shape), shape);
}

}  // namespace

Value gemm(Importer& importer, Call& call) {
  const Value& x = call.activation();
  call.require("transA", 0);
  Array kernel = call.numbers(1, "right side");
  if (x.rank() != 2 || kernel.shape.size() != 2) call.refuse("takes matrices");
  if (call.integer("transB", 0) == 0) kernel = transposed(kernel, {1, 0});
  const auto alpha = static_cast<float>(call.real("alpha", 1)), beta = static_cast<float>(call.real("beta", 1));
  for (float& value : kernel.values) value *= alpha;
  if (!call.optional(2)) return dense(importer, call, x, std::move(kernel), std::nullopt);
  const Value& c = call[2];
  const bool is_bias = c.numbers && c.rank() <= 2 && c.numbers->values.size() == static_cast<size_t>(kernel.shape[0]) &&
                       (c.rank() == 0 || c.shape.back() == kernel.shape[0]);
  if (is_bias) {
    Array bias = call.vector(2, "bias", kernel.shape[0]);
    for (float& value : bias.values) value *= beta;
    return dense(importer, call, x, std::move(kernel), std::move(bias));
  }
  const Value result = dense(importer, call, x, std::move(kernel), std::nullopt);
  return importer.combine(call, "add", {result, beta == 1 ? c : importer.combine(call, "multiply", {c, number(beta)})});
}

Value matrix_product(Importer& importer, Call& call) {
  const Value& x = call.activation();
  const Array& right = call.numbers(1, "right side");
  if (right.shape.size() != 2) call.refuse("its right side is no matrix");
  Array kernel = transposed(right, {1, 0});
  std::optional<Array> bias = importer.added_bias(call, kernel.shape[0], 0);
  return dense(importer, call, x, std::move(kernel), std::move(bias));
}

}  // namespace kiln::from_onnx
