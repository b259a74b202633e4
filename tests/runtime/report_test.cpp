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
