#pragma once

#include <string>

#include "codegen/compile_cache.h"
#include "ir/graph.h"

namespace kiln {

/// The user's graph as Graphviz DOT: one box a layer, with its output shape and parameters.
std::string layer_dot(const Graph& graph);

/// A primitive graph (the gradient graph, say) as DOT, nodes clustered by layer and coloured by role.
std::string node_dot(const Graph& graph);

/// Renders DOT to SVG through the Graphviz library, which takes seconds for a large graph.
std::string render_svg(const std::string& dot, const CompileCache& cache);

}  // namespace kiln
