// The digit network at a large batch.
#define KILN_GRAPH_ENTRY digit_network
#include "../../../graphs/digits.cpp"

kiln::Graph kiln_graph() {
  kiln::Graph graph = digit_network();
  graph.name = "digits_256";
  graph.batch = 256;
  return graph;
}
