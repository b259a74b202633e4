// Models that PyTorch and Keras exported (fixtures/onnx/make_models.py), read and interpreted.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "formats/graph_of.h"
#include "onnx_import.h"

namespace kiln {
namespace {

const std::string kFolder = KILN_SOURCE_DIR "/tests/fixtures/onnx/";

/// All numbers of a CSV, behind `headings` lines.
std::vector<float> numbers(const std::string& path, int headings) {
  std::ifstream file(path);
  std::string line;
  std::vector<float> result;
  while (std::getline(file, line)) {
    if (headings-- > 0) continue;
    std::stringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) result.push_back(std::stof(cell));
  }
  return result;
}

class OnnxModels : public testing::TestWithParam<const char*> {};

TEST_P(OnnxModels, PredictWhatTheirToolPredicts) {
  const std::string name = GetParam();
  std::ifstream file(kFolder + name + ".onnx", std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  const Network network = read_onnx(bytes.str(), name, name);
  std::vector<float> image = numbers(kFolder + "rows.csv", 1);
  for (float& pixel : image) pixel /= 255;
  const std::vector<float> expected = numbers(kFolder + name + ".csv", 0);
  ASSERT_EQ(expected.size(), 80U);
  const std::vector<double> result =
      interpret(graph_of(network.structure), network.parameters, {{"image", image}}, 8).at(0);
  ASSERT_EQ(result.size(), expected.size());
  for (size_t i = 0; i < result.size(); ++i) EXPECT_NEAR(result[i], expected[i], 1e-5) << i;
}

INSTANTIATE_TEST_SUITE_P(Exported, OnnxModels,
                         testing::Values("torch_mobile", "torch_mobile_training", "torch_branches", "keras"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace kiln
