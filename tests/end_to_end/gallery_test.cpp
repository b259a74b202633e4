// Every network of graphs/ but digits, which has tests of its own, is trained as its file stands, on built-in digits.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace kiln {
namespace {

namespace fs = std::filesystem;

struct Network {
  const char* name;
  double accuracy;  // after three epochs on 4,000 digits, below the lowest of three seeds; chance has 0.1
};

class Gallery : public testing::TestWithParam<Network> {};

fs::path new_folder() {
  std::string name = (fs::temp_directory_path() / "kiln-gallery-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  return name;
}

/// The JSON line that the trainer ends with.
nlohmann::json train(const fs::path& folder, const std::string& name, const std::string& arguments) {
  const fs::path out = folder / "out.json";
  const std::string line = std::string(KILN_BINARY_DIR) + "/" + name + "_train --json --seed 1 --run-folder " +
                           (folder / "run").string() + " " + arguments + " >" + out.string();
  if (std::system(line.c_str()) != 0) throw std::runtime_error("failed: " + line);
  std::ifstream file(out);
  std::string last;
  for (std::string next; std::getline(file, next);) last = next;
  return nlohmann::json::parse(last);
}

TEST_P(Gallery, Learns) {
  const fs::path folder = new_folder();
  const nlohmann::json result = train(folder, GetParam().name, "--digits 4000 --epochs 3");
  EXPECT_GT(result.at("test_accuracy").get<double>(), GetParam().accuracy) << result;
  fs::remove_all(folder);
}

TEST(Autoencoder, LearnsWithoutLabelsAndWritesWhatItDraws) {
  const fs::path folder = new_folder();
  const nlohmann::json result = train(folder, "autoencoder", "--digits 4000 --epochs 3");
  EXPECT_LT(result.at("best_val_loss").get<double>(), 0.04) << result;  // the mean image alone leaves 0.07
  EXPECT_FALSE(result.contains("test_accuracy"));
  std::ifstream submission(folder / "run/submission.csv");
  std::string header, row;
  std::getline(submission, header);
  std::getline(submission, row);
  EXPECT_EQ(header.substr(0, 14), "ImageId,0,1,2,");
  EXPECT_EQ(std::count(row.begin(), row.end(), ','), 784);

  std::stringstream page;
  page << std::ifstream(folder / "run/report.html").rdbuf();
  const std::string begin = R"(<script type="application/json" id="data">)", text = page.str();
  const size_t at = text.find(begin) + begin.size();
  const auto drawn = nlohmann::json::parse(text.substr(at, text.find("</script>", at) - at)).at("reconstructions");
  EXPECT_EQ(drawn.at("name"), "test");
  double error = 0;
  for (const nlohmann::json& image : drawn.at("images")) {
    EXPECT_EQ(image.at("pixels").get<std::string>().size(), 2 * 784U);
    EXPECT_EQ(image.at("drawn").get<std::string>().size(), 2 * 784U);
    error += image.at("mean_squared_error").get<double>();
  }
  ASSERT_EQ(drawn.at("images").size(), 24U);
  // Other rows than those of the validation loss, of the same kind.
  EXPECT_NEAR(error / 24, result.at("best_val_loss").get<double>(), 0.01);
  fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Networks, Gallery,
                         testing::Values(Network{"mlp", 0.93}, Network{"lenet5", 0.93}, Network{"resnet", 0.8},
                                         Network{"mobilenet", 0.85}, Network{"vgg", 0.95}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace kiln
