// The digit network at a small batch.
#define KILN_GRAPH_ENTRY digit_network
#include "../../../graphs/digits.cpp"

kiln::Graph kiln_graph() {
  kiln::Graph graph = digit_network();
  graph.name = "digits_32";
  graph.batch = 32;
  return graph;
}
