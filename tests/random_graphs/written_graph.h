#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "program.h"
#include "random_graphs/sketch.h"

namespace kiln::testing {

/// What one call of a program is given, by name, in the user's order.
struct CallData {
  int64_t count;
  kiln_scalars scalars;
  std::map<std::string, std::vector<float>> parameters, inputs;
};

/// Evaluations in f32 beside the one in f64.
inline constexpr size_t kRoundings = 3;

/// A wanted result, in storage order without the rows that hold no data.
struct Wanted {
  std::string name;
  std::vector<double> values;                                // f64
  std::array<std::vector<double>, kRoundings> rounded = {};  // one operator after the other in f32
  std::vector<float> before;                                 // of an update: what the tensor held
};

/// The graph as it was written, expanded and differentiated, but not simplified, fused or planned, evaluated one node
/// after the other.
class WrittenGraph {
 public:
  WrittenGraph(const Sketch& sketch, bool training);

  const Graph& graph() const { return graph_; }

  /// Random parameters and inputs, of which `count` rows hold data.
  CallData data(int64_t count, uint64_t seed) const;

  /// Loss, metrics, outputs and what the parameters are updated to.
  std::vector<Wanted> run(const CallData& data) const;

 private:
  std::vector<std::vector<double>> evaluate(const CallData& data, bool single, uint64_t shift,
                                            const std::vector<NodeId>& results) const;

  std::string optimizer_;
  Graph graph_;
};

}  // namespace kiln::testing
