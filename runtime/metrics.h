#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "program.h"

namespace kiln {

/// Loss and metrics of some rows, as a program gives them: means over the rows of each batch, here summed with the
/// batch's count as weight, so that a smaller last batch counts for its rows. Sums in f64, in the order of the batches.
class MetricSums {
 public:
  /// One sum an output of the program.
  explicit MetricSums(const kiln_program& program);

  /// Adds the means over `count` rows, in the order of the program's outputs. Allocates nothing.
  void add(const float* means, int32_t count);
  void clear();

  double mean(size_t output) const;
  size_t size() const { return names_.size(); }
  const std::string& name(size_t output) const { return names_[output]; }

  /// What a saved state keeps of an epoch that was interrupted: the sums and the number of rows.
  const std::vector<double>& sums() const { return sums_; }
  int64_t rows() const { return rows_; }
  void restore(const std::vector<double>& sums, int64_t rows);

 private:
  std::vector<std::string> names_;
  std::vector<double> sums_;
  int64_t rows_ = 0;
};

/// Name and value in the order they are shown: by name, the validation's (val_...) after the training's, as Keras.
using MetricValues = std::vector<std::pair<std::string, double>>;

/// The means, names prefixed ("" or "val_"), sorted by name.
MetricValues metric_values(const MetricSums& sums, const std::string& prefix = "");

/// Whether a larger value is the better one, by the metric's name: of accuracies and the like; of losses and errors the
/// smaller. Nothing where the name does not say it, which Keras's EarlyStopping(mode="auto") refuses too.
std::optional<bool> larger_is_better(const std::string& metric);

}  // namespace kiln
