// Every network of graphs/ but digits, which has tests of its own, is trained as its file stands, on built-in digits.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/command_folder.h"

namespace kiln {
namespace {

struct Network {
  const char* name;
  double accuracy;  // after three epochs on 4,000 digits, below the lowest of three seeds; chance has 0.1
};

class Gallery : public testing::TestWithParam<Network> {};

/// The JSON line that the trainer ends with.
nlohmann::json train(const CommandFolder& folder, const std::string& name, const std::string& arguments) {
  const Result result = folder.run(kTools + "/" + name + "_train --json --seed 1 --run-folder run " + arguments);
  if (result.exit_code != 0) throw std::runtime_error(name + ": " + result.err);
  return nlohmann::json::parse(result.out.substr(result.out.rfind('\n', result.out.size() - 2) + 1));
}

TEST_P(Gallery, Learns) {
  const CommandFolder folder;
  const nlohmann::json result = train(folder, GetParam().name, "--digits 4000 --epochs 3");
  EXPECT_GT(result.at("test_accuracy").get<double>(), GetParam().accuracy) << result;
}

TEST(Autoencoder, LearnsWithoutLabelsAndWritesWhatItDraws) {
  const CommandFolder folder;
  const nlohmann::json result = train(folder, "autoencoder", "--digits 4000 --epochs 3");
  EXPECT_LT(result.at("best_val_loss").get<double>(), 0.04) << result;  // the mean image alone leaves 0.07
  EXPECT_FALSE(result.contains("test_accuracy"));
  std::ifstream submission(folder.path("run/submission.csv"));
  std::string header, row;
  std::getline(submission, header);
  std::getline(submission, row);
  EXPECT_EQ(header.substr(0, 14), "ImageId,0,1,2,");
  EXPECT_EQ(std::count(row.begin(), row.end(), ','), 784);

  const std::string begin = R"(<script type="application/json" id="data">)",
                    text = contents(folder.path("run/report.html"));
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
}

INSTANTIATE_TEST_SUITE_P(Networks, Gallery,
                         testing::Values(Network{"mlp", 0.93}, Network{"lenet5", 0.93}, Network{"resnet", 0.8},
                                         Network{"mobilenet", 0.85}, Network{"vgg", 0.95}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace kiln
