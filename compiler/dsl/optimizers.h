#pragma once

#include "ir/graph.h"

namespace kiln {

// Each refuses, at the line of its call, momenta and decays outside [0, 1], betas of 1, and negative or infinite values
// of the others; learning rate and clipping are checked by Graph::train.

struct RmspropOptions {
  double learning_rate = 1e-3, rho = 0.9, momentum = 0, epsilon = 1e-7;
  double clip_value = 0, clip_norm = 0, global_clip_norm = 0;
};

/// Keras's RMSprop: v = rho * v + (1 - rho) * g^2; weight -= learning_rate * g / sqrt(v + epsilon).
Optimizer rmsprop(RmspropOptions options = {}, Location location = Location::here());

struct SgdOptions {
  double learning_rate = 1e-2, momentum = 0;
  bool nesterov = false;
  double clip_value = 0, clip_norm = 0, global_clip_norm = 0;
};

/// Keras's SGD: v = momentum * v - learning_rate * g; weight += v (Nesterov: momentum * v - learning_rate * g).
Optimizer sgd(SgdOptions options = {}, Location location = Location::here());

struct AdamOptions {
  double learning_rate = 1e-3, beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-7;
  double weight_decay = 0;  // decoupled (AdamW): weight -= learning_rate * weight_decay * weight
  double clip_value = 0, clip_norm = 0, global_clip_norm = 0;
};

/// Keras's Adam (Kingma and Ba 2014), with AdamW's weight decay.
Optimizer adam(AdamOptions options = {}, Location location = Location::here());

}  // namespace kiln
