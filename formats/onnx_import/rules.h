#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "onnx_import/importer.h"

namespace kiln::from_onnx {

/// What an ONNX operator makes: a value for each of its outputs that Kiln has, mostly for the first alone.
struct Outputs {
  Outputs(Value first) : values{std::move(first)} {}
  Outputs(std::vector<Value> all) : values(std::move(all)) {}
  std::vector<Value> values;
};

using Rule = std::function<Outputs(Importer&, Call&)>;

/// By the operators' names in ONNX.
const std::map<std::string, Rule>& rules();

// activations.cpp
Value leaky_relu(Importer& importer, Call& call);
Value elu(Importer& importer, Call& call);
Value selu(Importer& importer, Call& call);
Value gelu(Importer& importer, Call& call);
Value hard_sigmoid(Importer& importer, Call& call);
Value hard_swish(Importer& importer, Call& call);
Value mish(Importer& importer, Call& call);
Value softsign(Importer& importer, Call& call);
Value prelu(Importer& importer, Call& call);
Value clip(Importer& importer, Call& call);
Value dropout(Importer& importer, Call& call);

// arithmetic.cpp
/// Kiln's operator of that name, of one value, of two, or of any number of them.
Rule element_wise(const std::string& op);
Rule binary(const std::string& op);
Rule many(const std::string& op);
Value add(Importer& importer, Call& call);
Value mean(Importer& importer, Call& call);
Value negate(Importer& importer, Call& call);
Value reciprocal(Importer& importer, Call& call);
Value power(Importer& importer, Call& call);
Value greater(Importer& importer, Call& call);
Value where(Importer& importer, Call& call);
Value identity(Importer& importer, Call& call);

// windows.cpp
Value conv(Importer& importer, Call& call);
Value max_pool(Importer& importer, Call& call);
Value average_pool(Importer& importer, Call& call);
Value global_max_pool(Importer& importer, Call& call);
Value global_average_pool(Importer& importer, Call& call);

// dense.cpp
Value gemm(Importer& importer, Call& call);
Value matrix_product(Importer& importer, Call& call);

// normalisation.cpp
Value batch_norm(Importer& importer, Call& call);
Value softmax(Importer& importer, Call& call);
Value log_softmax(Importer& importer, Call& call);

// reductions.cpp
/// Kiln's operator of that name, or "reduce_min".
Rule reduce(const std::string& op);

// shapes.cpp
Value reshape(Importer& importer, Call& call);
Value flatten(Importer& importer, Call& call);
Value squeeze(Importer& importer, Call& call);
Value unsqueeze(Importer& importer, Call& call);
Value expand(Importer& importer, Call& call);
Value transpose(Importer& importer, Call& call);

// parts.cpp
Value pad(Importer& importer, Call& call);
Value slice(Importer& importer, Call& call);
Value concatenate(Importer& importer, Call& call);
Outputs split(Importer& importer, Call& call);

// constants.cpp
Value constant(Importer& importer, Call& call);
Value constant_of_shape(Importer& importer, Call& call);
Value cast(Importer& importer, Call& call);
Value shape(Importer& importer, Call& call);
Value gather(Importer& importer, Call& call);

}  // namespace kiln::from_onnx
