#include "report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "executor.h"
#include "fake_model.h"
#include "pages.h"
#include "text_predicates.h"

namespace kiln {
namespace {

nlohmann::json data_of(const std::string& page) {
  const std::string begin = R"(<script type="application/json" id="data">)";
  const size_t at = page.find(begin) + begin.size();
  return nlohmann::json::parse(page.substr(at, page.find("</script>", at) - at));
}

/// The first element that is not closed where it should be; nothing: every one is.
std::string first_open_element(const std::string& page) {
  static const std::set<std::string> kEmpty = {"!DOCTYPE", "meta", "link", "br", "hr", "img", "input"};
  std::vector<std::string> open;
  for (size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
    const size_t begin = page[at + 1] == '/' ? at + 2 : at + 1;
    const std::string name = page.substr(begin, page.find_first_of(" >\n", begin) - begin);
    if (kEmpty.count(name) > 0) continue;
    if (begin == at + 1) {
      open.push_back(name);
      if (name == "script" || name == "style") at = page.find("</" + name, at) - 1;  // what is in them is no markup
    } else if (open.empty() || open.back() != name) {
      return "</" + name + ">";
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : open.back();
}

/// Three classes, nine rows; rows 2, 5 and 7 are wrong, the last of them the most.
class ReportTest : public ::testing::Test {
 protected:
  ReportTest() : dataset_(learnable_rows(model_, 20)), weights_(model_.state_bytes) {
    for (size_t i = 0; i < 9; ++i) dataset_.labels[i + 10] = static_cast<int32_t>(i) / 3;
    predictions_ = {.rows = 9, .classes = 3, .probabilities = {}, .labels = {}};
    for (size_t i = 0; i < 9; ++i) {
      const int32_t label = dataset_.labels[i + 10];
      const bool wrong = i == 2 || i == 5 || i == 7;
      const float given = wrong ? 0.4F - 0.05F * static_cast<float>(i) : 0.8F;
      std::vector<float> p(3, 0.0F);
      p[static_cast<size_t>(label)] = given;
      p[static_cast<size_t>((label + 1) % 3)] = 1 - given;
      predictions_.probabilities.insert(predictions_.probabilities.end(), p.begin(), p.end());
      predictions_.labels.push_back(wrong ? (label + 1) % 3 : label);
    }
    results_.run = {{"graph", "small"}, {"command", {"--train", "</script><b>.csv"}}, {"options", {{"epochs", 1}}}};
    results_.outcome = "done";
    results_.metrics = "epoch,seconds,learning_rate,loss\n1,0.5,0.01,0.25\n";
    results_.weights_checksum = "0123abcd";
    results_.evaluations.push_back(
        {"validation", dataset_, 10, std::span(dataset_.labels).subspan(10, 9), predictions_});
  }

  const kiln_model& model_ = small_model();
  Dataset dataset_;
  AlignedMemory weights_;
  Predictions predictions_;
  RunResults results_;
};

TEST_F(ReportTest, CountsWhatThePredictionsAre) {
  const nlohmann::json data = data_of(report_html(model_, weights_.data(), results_));
  const nlohmann::json& evaluation = data.at("evaluations").at(0);
  EXPECT_EQ(evaluation.at("rows"), 9);
  EXPECT_EQ(evaluation.at("correct"), 6);
  EXPECT_EQ(evaluation.at("confusion"), nlohmann::json::parse("[[2, 1, 0], [0, 2, 1], [1, 0, 2]]"));
  std::vector<int> rows;
  for (const nlohmann::json& mistake : evaluation.at("mistakes")) rows.push_back(mistake.at("row"));
  EXPECT_EQ(rows, (std::vector<int>{18, 16, 13}));  // counted from 1, the worst first
  const nlohmann::json& worst = evaluation.at("mistakes").at(0);
  EXPECT_EQ(worst.at("label"), 2);
  EXPECT_EQ(worst.at("predicted"), 0);
  EXPECT_NEAR(worst.at("probabilities").at(2).get<double>(), 0.05, 1e-6);
  const std::string pixels = worst.at("pixels");
  ASSERT_EQ(pixels.size(), 32U);
  EXPECT_EQ(std::stoi(pixels.substr(0, 2), nullptr, 16), dataset_.pixels[size_t{17} * 16]);
  EXPECT_EQ(data.at("weights_crc32"), "0123abcd");
}

TEST_F(ReportTest, IsOnePageThatNeedsNothingElse) {
  const std::string page = report_html(model_, weights_.data(), results_);
  EXPECT_EQ(first_open_element(page), "");
  EXPECT_EQ(page.find("http://"), std::string::npos);
  EXPECT_EQ(page.find("https://"), std::string::npos);
  EXPECT_EQ(page.find("</script><b>"), std::string::npos);
  EXPECT_EQ(data_of(page).at("run").at("command").at(1), "</script><b>.csv");
  EXPECT_EQ(first_open_element(page_with_data(kDrawPage, {})), "");
  EXPECT_NE(first_open_element("<div><p></div>"), "");  // the check itself
}

TEST_F(ReportTest, PicturesLoseWhatOnlyFilesNeed) {
  kiln_model model = model_;
  model.svg =
      "<?xml version=\"1.0\"?>\n<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"http://www.w3.org/svg11.dtd\">\n"
      "<svg width=\"9pt\" xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\"><g/></svg>";
  EXPECT_EQ(data_of(report_html(model, weights_.data(), results_)).at("svg"), "<svg width=\"9pt\"><g/></svg>");
  model.svg = nullptr;
  EXPECT_EQ(data_of(report_html(model, weights_.data(), results_)).at("svg"), "");
}

TEST_F(ReportTest, TheFirstLayersWeightsArePictures) {
  // A dense layer behind a reshaped image; the model's own kernel is the other way around, as 3 x 16 it will do.
  constexpr int64_t kShape[] = {3, 16};
  std::vector<kiln_parameter> parameters(model_.parameters, model_.parameters + model_.parameter_count);
  parameters[0].shape = kShape;
  kiln_model model = model_;
  model.parameters = parameters.data();
  model.structure =
      R"({"nodes": [{"id": 0, "op": "input", "layer": "image", "inputs": []},
                    {"id": 1, "op": "flatten", "layer": "flatten", "inputs": [0]},
                    {"id": 2, "op": "parameter", "layer": "dense", "inputs": [], "attributes": {"name": "kernel"}},
                    {"id": 3, "op": "dense", "layer": "dense", "inputs": [1, 2]}]})";
  auto* kernel = reinterpret_cast<float*>(weights_.data());
  kernel[0] = -2;
  kernel[17] = 1;
  const nlohmann::json data = data_of(report_html(model, weights_.data(), results_));
  const nlohmann::json& filters = data.at("filters");
  EXPECT_EQ(filters.at("count"), 3);
  EXPECT_EQ(filters.at("height"), 4);
  EXPECT_EQ(filters.at("largest"), 2.0);
  const std::string values = filters.at("values");
  EXPECT_EQ(values.substr(0, 4), "0180");
  EXPECT_EQ(values.substr(34, 2), "c0");
  EXPECT_EQ(data.at("layers").at("n3"), "dense");
}

/// The model with images of another shape, and a first layer whose weights have one.
class OtherImages : public ReportTest {
 protected:
  nlohmann::json data_with(std::vector<int64_t> image, std::vector<int64_t> kernel, const std::string& structure) {
    std::vector<kiln_value> inputs(model_.train->inputs, model_.train->inputs + 2);
    inputs[0].shape = image.data();
    inputs[0].rank = static_cast<int32_t>(image.size());
    kiln_program train = *model_.train;
    train.inputs = inputs.data();
    std::vector<kiln_parameter> parameters(model_.parameters, model_.parameters + model_.parameter_count);
    parameters[0].shape = kernel.data();
    parameters[0].rank = static_cast<int32_t>(kernel.size());
    parameters[0].count = 1;
    for (const int64_t extent : kernel) parameters[0].count *= static_cast<uint64_t>(extent);
    kiln_model model = model_;
    model.train = model.evaluate = &train;
    model.parameters = parameters.data();
    model.structure = structure.c_str();
    std::vector<uint8_t> weights(std::max<size_t>(model_.state_bytes, 4 * parameters[0].count));
    return data_of(report_html(model, weights.data(), results_));
  }
  static std::string structure(const std::string& op, int reads) {
    return R"({"nodes": [{"id": 0, "op": "input", "layer": "image", "inputs": []},
                         {"id": 1, "op": "reshape", "layer": "reshape", "inputs": [0]},
                         {"id": 2, "op": "relu", "layer": "relu", "inputs": [1]},
                         {"id": 3, "op": "parameter", "layer": "first", "inputs": [], "attributes": {"name": "kernel"}},
                         {"id": 4, "op": ")" +
           op + R"(", "layer": "first", "inputs": [)" + std::to_string(reads) + R"(, 3]}]})";
  }
};

TEST_F(OtherImages, AConvolutionsFiltersArePicturesOfTheirOwnSize) {
  results_.evaluations.clear();
  const auto filters = [&](std::vector<int64_t> kernel, const std::string& op, int reads) {
    return data_with({4, 4, 3}, std::move(kernel), structure(op, reads)).at("filters");
  };
  const nlohmann::json colour = filters({100, 2, 5, 3}, "conv2d", 0);
  EXPECT_EQ(colour.at("count"), 64);  // of more, the first are shown
  EXPECT_EQ(colour.at("of"), 100);
  EXPECT_EQ(colour.at("height"), 2);
  EXPECT_EQ(colour.at("width"), 5);
  EXPECT_EQ(colour.at("channels"), 3);
  EXPECT_EQ(colour.at("largest"), 0);
  EXPECT_EQ(colour.at("values"), [] {  // weights of nothing are the middle grey
    std::string text;
    for (int i = 0; i < 64 * 30; ++i) text += "80";
    return text;
  }());
  EXPECT_EQ(filters({8, 2, 5, 1}, "conv2d", 1).at("count"), 8);  // a reshaped image is one
  EXPECT_EQ(filters({5, 48}, "dense", 1).at("width"), 4);
  EXPECT_TRUE(filters({8, 2, 5, 2}, "conv2d", 0).is_null());    // two channels are no colour
  EXPECT_TRUE(filters({8, 2, 5, 1}, "conv2d", 2).is_null());    // reads what ReLU made
  EXPECT_TRUE(filters({8, 2, 5, 1}, "max_pool", 0).is_null());  // has no weights
  EXPECT_TRUE(filters({5, 47}, "dense", 1).is_null());          // not a weight a pixel
  EXPECT_TRUE(filters({2, 70, 70, 3}, "conv2d", 0).is_null());  // too large to be shown
  std::string other = structure("conv2d", 0);
  other.replace(other.find("kernel"), 6, "absent");
  EXPECT_TRUE(data_with({4, 4, 3}, {8, 2, 5, 1}, other).at("filters").is_null());
}

TEST_F(OtherImages, OnlyRowsThatLookLikeAnythingAreShown) {
  const auto shown = [&](std::vector<int64_t> shape) {
    const nlohmann::json data = data_with(std::move(shape), {3, 16}, structure("dense", 1));
    const nlohmann::json& mistake = data.at("evaluations").at(0).at("mistakes").at(0);
    EXPECT_EQ(mistake.contains("pixels"), !data.at("image").is_null());
    return data.at("image");
  };
  EXPECT_EQ(shown({4, 4}), (nlohmann::json{{"height", 4}, {"width", 4}, {"channels", 1}}));
  EXPECT_EQ(shown({64, 64, 3}).at("channels"), 3);
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{16}, {2, 2, 2, 2}, {4, 2, 2}, {1, 16, 1}, {16, 1, 1}, {64, 65, 3}})
    EXPECT_TRUE(shown(shape).is_null()) << shape.size() << ", " << shape[0];
}

TEST_F(OtherImages, ReconstructionsAreShownWhereTheyAreImages) {
  const Dataset rows = rows_of(dataset_, 0, 2);
  Predictions predictions = {.rows = 2, .classes = 16, .probabilities = std::vector<float>(32, 2.0F), .labels = {}};
  for (size_t i = 0; i < 16; ++i) predictions.probabilities[i] = static_cast<float>(rows.pixels[i]) / 255.0F;
  predictions.probabilities[16] = -1;
  results_.reconstructions = Reconstructions{"test", rows, predictions};
  const nlohmann::json drawn = data_with({4, 4, 1}, {3, 16}, structure("dense", 1)).at("reconstructions");
  EXPECT_EQ(drawn.at("images").size(), 2U);
  const nlohmann::json &first = drawn.at("images")[0], &second = drawn.at("images")[1];
  EXPECT_EQ(first.at("drawn"), first.at("pixels"));
  EXPECT_NEAR(first.at("mean_squared_error").get<double>(), 0, 1e-12);    // f32 against f64
  EXPECT_EQ(second.at("drawn").get<std::string>().substr(0, 4), "00ff");  // outside of 0 to 1 is black and white
  EXPECT_GT(second.at("mean_squared_error"), 0.5);
  EXPECT_TRUE(data_with({16}, {3, 16}, structure("dense", 1)).at("reconstructions").is_null());
}

TEST_F(ReportTest, OfManyClassesThereIsNoTable) {
  predictions_.classes = 101;
  predictions_.probabilities.assign(size_t{9} * 101, 0.0F);
  const nlohmann::json data = data_of(report_html(model_, weights_.data(), results_)).at("evaluations").at(0);
  EXPECT_FALSE(data.contains("confusion"));
  EXPECT_EQ(data.at("correct"), 6);
}

TEST_F(ReportTest, PartsThatDoNotApplyAreLeftOut) {
  results_.evaluations.clear();
  results_.metrics.clear();
  const nlohmann::json data = data_of(report_html(model_, weights_.data(), results_));
  EXPECT_TRUE(data.at("evaluations").empty());
  EXPECT_TRUE(data.at("filters").is_null());
  EXPECT_TRUE(data.at("profile").is_null());
}

}  // namespace
}  // namespace kiln
