#include "metrics.h"

#include <algorithm>
#include <initializer_list>

namespace kiln {

MetricSums::MetricSums(const kiln_program& program) {
  for (int32_t i = 0; i < program.output_count; ++i) names_.emplace_back(program.outputs[i].name);
  sums_.assign(names_.size(), 0);
}

void MetricSums::add(const float* means, int32_t count) {
  for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += static_cast<double>(means[i]) * count;
  rows_ += count;
}

void MetricSums::clear() {
  std::fill(sums_.begin(), sums_.end(), 0.0);
  rows_ = 0;
}

double MetricSums::mean(size_t output) const { return rows_ == 0 ? 0 : sums_[output] / static_cast<double>(rows_); }

void MetricSums::restore(const std::vector<double>& sums, int64_t rows) {
  sums_ = sums;
  rows_ = rows;
}

MetricValues metric_values(const MetricSums& sums, const std::string& prefix) {
  MetricValues values;
  for (size_t i = 0; i < sums.size(); ++i) values.emplace_back(prefix + sums.name(i), sums.mean(i));
  std::sort(values.begin(), values.end());
  return values;
}

std::optional<bool> larger_is_better(const std::string& metric) {
  const auto names_one_of = [&](std::initializer_list<const char*> parts) {
    return std::any_of(parts.begin(), parts.end(),
                       [&](const char* part) { return metric.find(part) != std::string::npos; });
  };
  if (names_one_of({"loss", "error", "entropy"})) return false;
  if (names_one_of({"accuracy", "precision", "recall", "auc", "f1", "score"})) return true;
  return {};
}

}  // namespace kiln
