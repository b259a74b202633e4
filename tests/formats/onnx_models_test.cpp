// Models that PyTorch and Keras exported (fixtures/onnx/make_models.py), read and interpreted.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "dsl/graph.h"
#include "error.h"
#include "formats/graph_of.h"
#include "onnx_import.h"
#include "parameters.h"
#include "structure.h"

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

class ExportedModels : public testing::TestWithParam<const char*> {};

TEST_P(ExportedModels, PredictWhatTheirToolPredicts) {
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

INSTANTIATE_TEST_SUITE_P(Onnx, ExportedModels,
                         testing::Values("torch_mobile", "torch_mobile_training", "torch_branches", "keras"),
                         [](const auto& info) { return std::string(info.param); });

/// A graph's one weight cannot take two of a file's.
TEST(OnnxModels, ASharedWeightTakesEqualValuesOnly) {
  Graph graph{"shared"};
  const Tensor x = graph.input("x", {2}), w = graph.parameter("w", {2}, ones(), true);
  graph.output("y", (x * w) + w);
  const auto file = [](const Array& second) {
    NetworkBuilder build("shared", "model.onnx");
    const std::vector<int64_t> batch = {kBatchExtent, 2};
    const int input = build.add_input("x", batch);
    const int product = build.add("multiply", {input, build.add_parameter("first", {{2}, {1, 2}}, true)},
                                  nlohmann::json::object(), batch);
    build.output(
        "y", build.add("add", {product, build.add_parameter("second", second, true)}, nlohmann::json::object(), batch));
    return build.finish();
  };
  const KilnFile taken = with_weights_of(file({{2}, {1, 2}}), file_of(graph), "model.onnx");
  EXPECT_EQ(read_parameter(taken, parameters(taken, "graph").at(0)), (std::vector<float>{1, 2}));
  EXPECT_THROW(with_weights_of(file({{2}, {1, 3}}), file_of(graph), "model.onnx"), DataError);
}

/// Names are cut off at 100 characters, and are still different ones.
TEST(OnnxModels, LongNamesStayApart) {
  NetworkBuilder build("long", "model.onnx");
  const std::vector<int64_t> batch = {kBatchExtent, 2};
  const std::string name(150, 'n');
  int x = build.add_input(name, batch);
  x = build.add("add", {x, build.add_parameter(name, {{2}, {1, 2}}, true)}, nlohmann::json::object(), batch);
  x = build.add("add", {x, build.add_parameter(name, {{2}, {3, 4}}, true)}, nlohmann::json::object(), batch);
  build.output("y", x);
  EXPECT_EQ(build.finish().parameters.size(), 2U);
}

}  // namespace
}  // namespace kiln
