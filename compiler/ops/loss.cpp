#include "ops/loss.h"

#include "ops/add.h"
#include "ops/divide.h"
#include "ops/multiply.h"
#include "ops/reduce_mean.h"
#include "ops/reshape.h"
#include "ops/subtract.h"

namespace kiln {

Type scalar_of_pair(const Call& call) {
  for (const Type& input : call.inputs) {
    if (input.element != ElementType::real) call.fail("the inputs must be real; one_hot() makes classes so");
  }
  if (call.shape(0) != call.shape(1)) {
    call.fail(fmt::format("prediction {} and target {} must have the same shape", to_string(call.shape(0)),
                          to_string(call.shape(1))));
  }
  return {};
}

Tensor smoothed(const Tensor& target, double label_smoothing, double classes) {
  if (label_smoothing != 0) return (1 - label_smoothing) * target + label_smoothing / classes;
  const Tensor part = target.graph().scalar("label_smoothing");
  return (1 - part) * target + part / classes;
}

Tensor mean_of_all(Tensor x) {
  if (x.shape().empty()) return x;
  ReduceOptions all;
  for (size_t i = 0; i < x.shape().size(); ++i) all.axes.push_back(static_cast<int64_t>(i));
  return reshape(reduce_mean(x, all), {});
}

}  // namespace kiln
