#include "drawing_page.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <future>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <thread>

#include "checkpoint.h"
#include "data/pen.h"
#include "error.h"
#include "fake_model.h"
#include "http_client.h"
#include "initialize.h"
#include "predict_command.h"
#include "predictor.h"
#include "text_predicates.h"

namespace kiln {
namespace {

/// The page of the digit model with random weights.
class DrawingPage : public ::testing::Test {
 protected:
  DrawingPage() : weights_(model_.state_bytes) { initialize(model_, 1, weights_.data()); }

  void SetUp() override {
    std::promise<std::string> url;
    std::future<std::string> ready = url.get_future();
    running_ = std::async(std::launch::async, [this, url = std::move(url)]() mutable {
      return serve_drawing_page(
          model_, context_, weights_.data(), {}, [&](const std::string& text) { url.set_value(text); },
          [this] { return stop_.load(); });
    });
    port_ = port_of(ready.get());
  }
  void TearDown() override {
    stop_ = true;
    running_.get();
  }

  const kiln_model& model_ = digits_model();
  AlignedMemory weights_;
  Context context_{2};
  std::atomic<bool> stop_{false};
  std::future<int64_t> running_;
  int port_ = 0;
};

TEST_F(DrawingPage, IsWholeAndNeedsNothingElse) {
  const HttpReply page = http(port_, "GET", "/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_PRED2(contains, page.body, R"({"classes":10,"graph":"digits","height":28,"width":28}</script>)");
  EXPECT_EQ(page.body.find("http://"), std::string::npos);
  EXPECT_EQ(page.body.find("https://"), std::string::npos);
}

TEST_F(DrawingPage, AnswersWithWhatThePredictorSaysOfTheImage) {
  const HttpReply reply =
      http(port_, "POST", "/predict", R"({"strokes": [[0.5, 0.1, 0.5, 0.9], [0.4, 0.9, 0.6, 0.9]]})");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const nlohmann::json json = nlohmann::json::parse(reply.body);
  const std::vector<uint8_t> pixels = drawn_image({{{.5F, .1F}, {.5F, .9F}}, {{.4F, .9F}, {.6F, .9F}}}, 28, 28);
  Context context(1);
  const std::vector<float> expected = RowPredictor(model_, context, weights_.data()).predict(pixels);
  EXPECT_EQ(json.at("probabilities").get<std::vector<float>>(), expected);
  EXPECT_NEAR(std::accumulate(expected.begin(), expected.end(), 0.0F), 1, 1e-5);
  const std::string hexadecimal = json.at("pixels");
  ASSERT_EQ(hexadecimal.size(), 2 * pixels.size());
  for (size_t i = 0; i < pixels.size(); ++i)
    EXPECT_EQ(std::stoi(hexadecimal.substr(2 * i, 2), nullptr, 16), pixels[i]) << i;
}

TEST_F(DrawingPage, RequestsThatMakeNoSenseAreRefused) {
  for (const char* body :
       {"", "{", "[]", "{}", R"({"strokes": 1})", R"({"strokes": [1]})", R"({"strokes": [["a"]]})",
        R"({"strokes": [[0, 1e60]]})", R"({"strokes": [[0, -11]]})", R"({"strokes": [[-11, 0]]})", "\xff\xfe"}) {
    const HttpReply reply = http(port_, "POST", "/predict", body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_FALSE(reply.body.empty());
  }
  EXPECT_EQ(http(port_, "POST", "/predict", std::string(70'000, '[')).status, 413);
  EXPECT_EQ(http(port_, "POST", "/predict", std::string(60'000, '[')).status, 400);
  const std::string deep = R"({"strokes": )" + std::string(30'000, '[') + std::string(30'000, ']') + "}";
  EXPECT_EQ(http(port_, "POST", "/predict", deep).status, 400);  // which nothing copies
  for (const char* body :
       {R"({"strokes": []})", R"({"strokes": [[]]})", R"({"strokes": [[0.5]]})", R"({"strokes": [[0.5, 0.5]]})"})
    EXPECT_EQ(http(port_, "POST", "/predict", body).status, 200) << body;
}

TEST_F(DrawingPage, ClientsAtOnceGetTheirOwnAnswers) {
  std::vector<std::future<void>> clients;
  clients.reserve(8);
  for (int c = 0; c < 8; ++c) {
    clients.push_back(std::async(std::launch::async, [this, c] {
      const std::string body = R"({"strokes": [[0.2, 0.2, 0.8, )" + std::to_string(0.1 * c) + "]]}";
      const auto answer = [&] { return nlohmann::json::parse(http(port_, "POST", "/predict", body).body); };
      const nlohmann::json first = answer();
      for (int i = 0; i < 20; ++i) EXPECT_EQ(answer().at("probabilities"), first.at("probabilities"));
    }));
  }
}

TEST(ServeFlag, ServesUntilItIsInterrupted) {
  TemporaryFolder folder;
  DiskFileSystem files;
  Checkpoint checkpoint;
  checkpoint.weights.resize(digits_model().weight_bytes);
  save_checkpoint(files, folder.file("model.kiln"), digits_model(), checkpoint);
  std::ostringstream out, err;
  int asked = 0;
  const int code = predict_command(
      {"--model", folder.file("model.kiln"), "--serve", "0"}, digits_model(),
      {.out = out, .err = err, .files = files, .style = {}, .interrupted = [&] { return ++asked > 2; }});
  EXPECT_EQ(code, 0) << err.str();
  EXPECT_PRED2(matches, out.str(),
               "Draw at http://127.0.0.1:[0-9]+/ \\(Ctrl-C ends it\\)\nStopped; 0 requests answered\n");
}

TEST(ServeFlag, SaysItsAddressAsItIsAsked) {
  TemporaryFolder folder;
  DiskFileSystem files;
  Checkpoint checkpoint;
  checkpoint.weights.resize(digits_model().weight_bytes);
  save_checkpoint(files, folder.file("model.kiln"), digits_model(), checkpoint);
  const auto printed = [&](const char* flag) {
    std::ostringstream out, err;
    EXPECT_EQ(
        predict_command({"--model", folder.file("model.kiln"), "--serve", "0", flag}, digits_model(),
                        {.out = out, .err = err, .files = files, .style = {}, .interrupted = [] { return true; }}),
        0)
        << err.str();
    return out.str();
  };
  EXPECT_EQ(printed("--quiet"), "");
  EXPECT_PRED2(matches, printed("--json"), "\\{\"url\":\"http://127.0.0.1:[0-9]+/\"\\}\n\\{\"requests\":0\\}\n");
}

TEST(ServeFlag, IsRefusedWhereNothingCanBeDrawn) {
  const auto refusal = [](const kiln_model& model) {
    AlignedMemory weights(model.state_bytes);
    Context context(1);
    try {
      serve_drawing_page(
          model, context, weights.data(), {}, [](const std::string&) {}, [] { return true; });
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string("not refused");
  };
  const std::string needs =
      "--serve needs a graph whose input is an image of one channel and whose output has each class's probability; ";
  EXPECT_EQ(refusal(digits_model()), "not refused");
  EXPECT_EQ(refusal(small_model()), "not refused");

  // Three channels.
  constexpr int64_t kShape[] = {4, 2, 2};
  kiln_value inputs[] = {small_model().train->inputs[0], small_model().train->inputs[1]};
  inputs[0].shape = kShape;
  kiln_program train = *small_model().train, predict = *small_model().predict, one = *small_model().predict_one;
  train.inputs = inputs;
  kiln_model model = small_model();
  model.train = &train;
  EXPECT_EQ(refusal(model), needs + "small takes 4x2x2");

  // A row of numbers, and a second input beside the image.
  train.inputs = small_model().train->inputs;
  kiln_value row = small_model().train->inputs[0];
  row.rank = 1;
  kiln_value numbers[] = {row, small_model().train->inputs[1]};
  train.inputs = numbers;
  EXPECT_EQ(refusal(model), needs + "small takes 4");
  kiln_value two[] = {small_model().predict->inputs[0], small_model().predict->inputs[0]};
  predict.inputs = two;
  predict.input_count = 2;
  model = small_model();
  model.predict = &predict;
  EXPECT_EQ(refusal(model), needs + "small takes 2 inputs");
  predict = *small_model().predict;

  // Scores instead of probabilities, some of them negative, or with another sum.
  static float first = 0, others = 0;
  one.step = [](void*, uint8_t* arena, uint8_t*, const kiln_scalars*) {
    auto* values = reinterpret_cast<float*>(arena + small_model().predict_one->outputs[1].offset);
    values[0] = first, values[1] = values[2] = others;
  };
  model = small_model();
  model.predict_one = &one;
  first = 2, others = -0.5F;
  EXPECT_EQ(refusal(model), needs + "small gives 3 values with the sum 1 for 3 classes");
  first = 1, others = 0.5F;
  EXPECT_EQ(refusal(model), needs + "small gives 3 values with the sum 2 for 3 classes");
  first = 0.5F, others = 0.25F;
  EXPECT_EQ(refusal(model), "not refused");
  one = *small_model().predict_one;

  // An output that is no distribution: the largest probability only.
  model = small_model();
  predict.output_count = one.output_count = 1;
  model.predict = &predict;
  model.predict_one = &one;
  EXPECT_PRED2(matches, refusal(model), needs + "small gives 1 values with the sum .* for 3 classes");
}

}  // namespace
}  // namespace kiln
