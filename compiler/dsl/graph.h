#pragma once

/// What a graph file includes: the graph, every operator and the optimizers. Light on purpose (no Halide): an edit of a
/// graph must rebuild within seconds.
#include "dsl/operators.h"  // generated from the files of compiler/ops/
#include "dsl/optimizers.h"
#include "ir/graph.h"

/// Ends a graph file: names the function that builds the graph.
#ifndef KILN_GRAPH_ENTRY
#define KILN_GRAPH_ENTRY kiln_graph
#endif
#define KILN_GRAPH(function) \
  kiln::Graph KILN_GRAPH_ENTRY() { return function(); }
