#include "drawing_page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "data/pen.h"
#include "error.h"
#include "model_inputs.h"
#include "pages.h"
#include "predictor.h"

namespace kiln {
namespace {

/// What keeps a graph from being drawn for, or nothing. Whether outputs are probabilities shows in those of an empty
/// image.
std::string obstacle(const kiln_model& model, const ModelInputs& inputs, Context& context, uint8_t* weights) {
  const std::vector<int64_t>& shape = inputs.shape;
  int real_inputs = 0;  // the label is another
  for (int32_t i = 0; i < model.predict->input_count; ++i) real_inputs += model.predict->inputs[i].element == KILN_F32;
  if (real_inputs != 1) return fmt::format("takes {} inputs", real_inputs);
  if (shape.size() != 3 || shape[2] != 1) return fmt::format("takes {}", fmt::join(shape, "x"));
  const std::vector<uint8_t> empty(static_cast<size_t>(shape[0] * shape[1]));
  const std::vector<float> values = RowPredictor(model, context, weights).predict(empty);
  const float sum = std::accumulate(values.begin(), values.end(), 0.0F);
  const bool negative = std::any_of(values.begin(), values.end(), [](float value) { return value < 0; });
  if (static_cast<int32_t>(values.size()) == inputs.classes && !negative && std::abs(sum - 1) < 1e-3F) return {};
  return fmt::format("gives {} values with the sum {} for {} classes", values.size(), sum, inputs.classes);
}

/// Throws where the request is not what serve_drawing_page() says.
std::vector<Stroke> parse_strokes(const std::string& body) {
  const nlohmann::json request = nlohmann::json::parse(body);
  std::vector<Stroke> strokes;
  for (const nlohmann::json& line : request.at("strokes")) {
    const auto numbers = line.get<std::vector<float>>();
    Stroke& stroke = strokes.emplace_back();
    for (size_t i = 0; i + 1 < numbers.size(); i += 2) {
      // The pen may leave the paper; infinities and the like would leave more.
      if (!(std::abs(numbers[i]) <= 10 && std::abs(numbers[i + 1]) <= 10))
        throw DataError(fmt::format("a point is at {}, {}, far off the paper", numbers[i], numbers[i + 1]));
      stroke.push_back({numbers[i], numbers[i + 1]});
    }
  }
  return strokes;
}

}  // namespace

int64_t serve_drawing_page(const kiln_model& model, Context& context, uint8_t* weights, const HttpAddress& address,
                           const std::function<void(const std::string& url)>& ready,
                           const std::function<bool()>& stopped) {
  const ModelInputs inputs = model_inputs(model);
  if (const std::string found = obstacle(model, inputs, context, weights); !found.empty()) {
    throw UsageError(fmt::format(
        "--serve needs a graph whose input is an image of one channel and whose output has each class's probability; "
        "{} {}",
        model.name, found));
  }
  RowPredictor predictor(model, context, weights);
  const int64_t height = inputs.shape[0], width = inputs.shape[1];
  const std::string page = page_with_data(
      kDrawPage, {{"graph", model.name}, {"classes", inputs.classes}, {"height", height}, {"width", width}});

  const auto predict = [&](const std::string& body) -> HttpResponse {
    std::vector<Stroke> strokes;
    try {
      strokes = parse_strokes(body);
    } catch (const std::exception& error) {
      return {.status = 400, .type = "text/plain; charset=utf-8", .body = fmt::format("{}\n", error.what())};
    }
    const auto start = std::chrono::steady_clock::now();
    const std::vector<uint8_t> pixels = drawn_image(strokes, height, width);
    const std::vector<float> probabilities = predictor.predict(pixels);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    const nlohmann::json result = {
        {"probabilities", probabilities}, {"pixels", hexadecimal(pixels)}, {"seconds", time.count()}};
    return {.status = 200, .type = "application/json", .body = result.dump()};
  };
  HttpServer server(address, {{"GET", "/",
                               [&](const std::string&) -> HttpResponse {
                                 return {.status = 200, .type = "text/html; charset=utf-8", .body = page};
                               }},
                              {"POST", "/predict", predict}});
  ready(server.url());
  return server.run(stopped);
}

}  // namespace kiln
