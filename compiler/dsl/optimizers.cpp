#include "dsl/optimizers.h"

#include <cmath>

#include "ops/add.h"
#include "ops/divide.h"
#include "ops/exp.h"
#include "ops/multiply.h"
#include "ops/sqrt.h"
#include "ops/square.h"
#include "ops/subtract.h"
#include "ops/to_real.h"

namespace kiln {
namespace {

/// The parts that all optimizers have: name, learning rate and gradient clipping, which Graph::train checks.
template <class Options>
Optimizer optimizer(const char* name, const Options& options, Attributes constants, Location location,
                    std::function<void(const OptimizerCall&)> update) {
  const auto require = [&](bool holds, const std::string& option, double value, const char* expected) {
    if (!holds) throw UserError(location, name, fmt::format("{} must be {}, got {}", option, expected, value));
  };
  for (const auto& [option, constant] : constants) {
    const double* const value = std::get_if<double>(&constant);
    if (value == nullptr) continue;
    if (option == "epsilon" || option == "weight_decay")
      require(*value >= 0 && *value <= 1e30, option, *value, "from 0 to 1e30");
    else if (option == "rho" || option == "momentum")
      require(*value >= 0 && *value <= 1, option, *value, "in [0, 1]");
    else  // the correction of the first step divides by 1 - beta, in f32
      require(*value >= 0 && *value <= 1 - 1e-6, option, *value, "from 0 to 1 - 1e-6");
  }
  return {.name = name,
          .learning_rate = options.learning_rate,
          .update = std::move(update),
          .clip_value = options.clip_value,
          .clip_norm = options.clip_norm,
          .global_clip_norm = options.global_clip_norm,
          .constants = std::move(constants)};
}

}  // namespace

// keras/src/optimizers/rmsprop.py, update_step.
Optimizer rmsprop(RmspropOptions options, Location location) {
  const Attributes constants = {{"rho", options.rho}, {"momentum", options.momentum}, {"epsilon", options.epsilon}};
  return optimizer("rmsprop", options, constants, location, [options](const OptimizerCall& call) {
    const Tensor gradient = call.gradient, old_velocity = call.state("velocity");
    const Tensor velocity = options.rho * old_velocity + (1 - options.rho) * square(gradient);
    call.graph.update(old_velocity, velocity);
    Tensor step = call.learning_rate * gradient / sqrt(velocity + options.epsilon);
    if (options.momentum > 0) {
      const Tensor old_momentum = call.state("momentum");
      step = options.momentum * old_momentum + step;
      call.graph.update(old_momentum, step);
    }
    call.graph.update(call.weight, call.weight - step);
  });
}

// keras/src/optimizers/sgd.py, update_step.
Optimizer sgd(SgdOptions options, Location location) {
  const Attributes constants = {{"momentum", options.momentum}, {"nesterov", options.nesterov}};
  return optimizer("sgd", options, constants, location, [options](const OptimizerCall& call) {
    const Tensor step = call.learning_rate * call.gradient;
    if (options.momentum == 0) {
      call.graph.update(call.weight, call.weight - step);
      return;
    }
    const Tensor old_momentum = call.state("momentum");
    const Tensor momentum = options.momentum * old_momentum - step;
    call.graph.update(old_momentum, momentum);
    call.graph.update(call.weight, call.weight + (options.nesterov ? options.momentum * momentum - step : momentum));
  });
}

// keras/src/optimizers/adam.py, update_step; the weight decay is that of base_optimizer.py, _apply_weight_decay.
Optimizer adam(AdamOptions options, Location location) {
  const Attributes constants = {{"beta_1", options.beta_1},
                                {"beta_2", options.beta_2},
                                {"epsilon", options.epsilon},
                                {"weight_decay", options.weight_decay}};
  return optimizer("adam", options, constants, location, [options](const OptimizerCall& call) {
    const Tensor gradient = call.gradient, old_mean = call.state("momentum"), old_square = call.state("velocity");
    const Tensor mean = old_mean + (1 - options.beta_1) * (gradient - old_mean);
    const Tensor mean_square = old_square + (1 - options.beta_2) * (square(gradient) - old_square);
    call.graph.update(old_mean, mean);
    call.graph.update(old_square, mean_square);

    const Tensor steps = to_real(call.step) + 1.0;
    const auto correction = [&](double beta) {  // 1 - beta^steps
      return beta == 0 ? call.graph.constant(1) : 1.0 - exp(std::log(beta) * steps);
    };
    const Tensor rate = call.learning_rate * sqrt(correction(options.beta_2)) / correction(options.beta_1);
    Tensor weight = call.weight;
    if (options.weight_decay != 0) weight = weight - (options.weight_decay * call.learning_rate) * weight;
    call.graph.update(call.weight, weight - rate * mean / (sqrt(mean_square) + options.epsilon));
  });
}

}  // namespace kiln
