#pragma once

#include <string>

#include "ir/graph.h"

namespace kiln {

/// One row of the summary: a layer of the user's graph.
struct LayerRow {
  std::string name, kind;
  Shape shape;
  int64_t parameters = 0, trainable = 0;
  double flops = 0;  // of one sample's forward pass, a multiply-add counted as two
  double bytes = 0;  // activations written for one sample, f32
};

std::vector<LayerRow> layer_rows(const Graph& graph);

/// Keras's table, with FLOPs and bytes of one sample beside the parameters.
std::string summary_table(const Graph& graph);
std::string summary_json(const Graph& graph);

/// "13,872"
std::string with_commas(int64_t value);

}  // namespace kiln
