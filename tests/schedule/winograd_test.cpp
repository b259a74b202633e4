#include "schedule/winograd.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

TEST(Winograd, MatricesConvolve) {
  for (int taps = 2; taps <= 5; ++taps) {
    for (int outputs : winograd_outputs(taps)) {
      const WinogradMatrices m = winograd_matrices(outputs, taps);
      std::vector<double> image, weights;
      for (int i = 0; i < outputs + taps - 1; ++i) image.push_back(1.0 + i * i % 7);
      for (int i = 0; i < taps; ++i) weights.push_back(0.5 - i);
      for (int o = 0; o < outputs; ++o) {
        double found = 0, wanted = 0;
        for (size_t p = 0; p < image.size(); ++p)
          found += m.output[o][p] * dot(m.weight[p], weights) * dot(m.input[p], image);
        for (int k = 0; k < taps; ++k) wanted += image[o + k] * weights[k];
        EXPECT_NEAR(found, wanted, 1e-9) << outputs << " outputs, " << taps << " taps";
      }
    }
  }
}

TEST(Winograd, TilesAreChosenByTheWorkTheyTake) {
  // 3 x 3 tiles of 49 multiplications instead of 4 x 4 of 36.
  EXPECT_EQ(best_winograd_outputs(winograd_outputs(3), 13, 13, 3, 64), 5);
  EXPECT_EQ(best_winograd_outputs(winograd_outputs(3), 32, 32, 3, 64), 4);
  // One tile of 64 instead of 2 x 2 of 25 pays when many rows share the weights' transform.
  EXPECT_EQ(best_winograd_outputs(winograd_outputs(2), 7, 7, 2, 256), 7);
  EXPECT_EQ(best_winograd_outputs(winograd_outputs(2), 7, 7, 2, 64), 4);
}

}  // namespace
}  // namespace kiln
