#pragma once

#include <map>
#include <memory>
#include <set>

#include "ir/graph.h"

namespace kiln {

struct ReferenceOptions {
  int64_t count = 4;  // rows that hold data
  int32_t seed = 0, step = 0;
  double learning_rate = 1e-3, label_smoothing = 0;
};

/// Evaluates an expanded graph unscheduled, one operator after the other, in f64 by Halide's JIT: the definition that
/// every fused and scheduled program is compared with.
class Reference {
 public:
  /// Contractions in `rounded` multiply their operands rounded to bf16, as mixed precision does. Beside the results,
  /// run() returns the first one's derivatives with respect to the sources `adjoints_of` (it must be a scalar then), by
  /// Halide's own differentiation of the definitions: autodiff/ has no part in them.
  Reference(const Graph& graph, std::vector<NodeId> results, int64_t batch, const std::set<NodeId>& rounded = {},
            const std::vector<NodeId>& adjoints_of = {});
  ~Reference();
  Reference(Reference&&) noexcept;

  /// Values of input and parameter nodes in the user's row-major order (batch first); results likewise. Rows at and
  /// beyond `count` are computed too, but mean nothing.
  std::vector<std::vector<double>> run(const std::map<NodeId, std::vector<double>>& values,
                                       const ReferenceOptions& options = {}) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace kiln
