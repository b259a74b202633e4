#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "model_inputs.h"
#include "pages.h"

namespace kiln {
namespace {

constexpr int64_t kMistakes = 24;       // of the worst, shown
constexpr int64_t kClasses = 100;       // of more, nobody reads a matrix
constexpr int64_t kFilters = 64;        // of the first layer, shown
constexpr int64_t kImageBytes = 12288;  // of a shown image: 64x64x3

using nlohmann::json;

struct Image {
  int64_t height, width, channels;
};

/// What a sample looks like, if it looks like anything: grey or coloured, and of a size that can be shown.
std::optional<Image> image_of(const std::vector<int64_t>& shape) {
  if (shape.size() < 2 || shape.size() > 3) return std::nullopt;
  const Image image = {shape[0], shape[1], shape.size() == 3 ? shape[2] : 1};
  const bool seen = (image.channels == 1 || image.channels == 3) && image.height > 1 && image.width > 1 &&
                    image.height * image.width * image.channels <= kImageBytes;
  return seen ? std::optional(image) : std::nullopt;
}

json image_json(const Image& image) {
  return {{"height", image.height}, {"width", image.width}, {"channels", image.channels}};
}

/// The rows that the model is wrong about, those first to whose label it gave the least.
std::vector<int64_t> worst_mistakes(const Evaluation& e) {
  std::vector<int64_t> rows;
  for (int64_t n = 0; n < e.predictions.rows; ++n) {
    const auto row = static_cast<size_t>(n);
    if (e.predictions.labels[row] != e.labels[row]) rows.push_back(n);
  }
  const auto given = [&](int64_t n) {
    return e.predictions
        .probabilities[static_cast<size_t>(n * e.predictions.classes + e.labels[static_cast<size_t>(n)])];
  };
  std::stable_sort(rows.begin(), rows.end(), [&](int64_t a, int64_t b) { return given(a) < given(b); });
  rows.resize(static_cast<size_t>(std::min<int64_t>(kMistakes, static_cast<int64_t>(rows.size()))));
  return rows;
}

json evaluation_json(const Evaluation& e, const std::optional<Image>& image) {
  const Predictions& p = e.predictions;
  json result = {{"name", e.name},
                 {"origin", e.dataset.origin},
                 {"rows", p.rows},
                 {"classes", p.classes},
                 {"correct", count_correct(p.labels, e.labels)},
                 {"mistakes", json::array()}};
  if (p.classes <= kClasses) {
    const auto classes = static_cast<size_t>(p.classes);
    std::vector<std::vector<int64_t>> counts(classes, std::vector<int64_t>(classes));  // [label][predicted]
    for (size_t n = 0; n < p.labels.size(); ++n)
      ++counts[static_cast<size_t>(e.labels[n])][static_cast<size_t>(p.labels[n])];
    result["confusion"] = counts;
  }
  for (const int64_t n : worst_mistakes(e)) {
    const auto row = static_cast<size_t>(n);
    const std::span probabilities(&p.probabilities[row * static_cast<size_t>(p.classes)],
                                  static_cast<size_t>(p.classes));
    json mistake = {{"row", e.first_row + n + 1}, {"label", e.labels[row]}, {"predicted", p.labels[row]}};
    mistake["probabilities"] = std::vector<float>(probabilities.begin(), probabilities.end());
    if (image) {
      const auto elements = static_cast<size_t>(e.dataset.elements());
      mistake["pixels"] =
          hexadecimal(std::span(&e.dataset.pixels[static_cast<size_t>(e.first_row + n) * elements], elements));
    }
    result["mistakes"].push_back(mistake);
  }
  return result;
}

/// Each row as it went in and as it came out, 1 being white; null where rows are no images.
json reconstructions_json(const Reconstructions& r, const std::optional<Image>& image) {
  if (!image) return nullptr;
  json result = {{"name", r.name}, {"origin", r.rows.origin}, {"images", json::array()}};
  const auto elements = static_cast<size_t>(r.rows.elements());
  for (size_t n = 0; n < static_cast<size_t>(r.rows.rows); ++n) {
    const std::span given(&r.rows.pixels[n * elements], elements);
    std::vector<uint8_t> drawn;
    double squares = 0;
    for (size_t i = 0; i < elements; ++i) {
      const float value = r.predictions.probabilities[n * elements + i];
      const double difference = value - given[i] / 255.0;
      squares += difference * difference;
      drawn.push_back(static_cast<uint8_t>(std::lround(255 * std::clamp(value, 0.0F, 1.0F))));
    }
    result["images"].push_back({{"pixels", hexadecimal(given)},
                                {"drawn", hexadecimal(drawn)},
                                {"mean_squared_error", squares / static_cast<double>(elements)}});
  }
  return result;
}

/// The weights of the layer that reads the image, a picture each: filters of a convolution, or what a dense layer's
/// units weigh each pixel with. Null where there is no such layer.
json filters_json(const kiln_model& model, const json& structure, const std::optional<Image>& image,
                  const uint8_t* weights) {
  std::map<int, const json*> nodes;
  for (const json& node : structure.at("nodes")) nodes[node.at("id").get<int>()] = &node;
  const auto input = [&](const json& node, size_t i) -> const json& { return *nodes.at(node.at("inputs").at(i)); };
  // A reshaped image is still one.
  const auto reads_image = [&](const json& node) {
    const json* from = &input(node, 0);
    while (from->at("op") == "flatten" || from->at("op") == "reshape") from = &input(*from, 0);
    return from->at("op") == "input";
  };
  for (const auto& [id, node] : nodes) {
    const bool convolution = node->at("op") == "conv2d";
    if (!(convolution || node->at("op") == "dense") || !reads_image(*node)) continue;
    const std::string name = input(*node, 1).at("attributes").at("name");
    const kiln_parameter* end = model.parameters + model.parameter_count;
    const kiln_parameter* p =
        std::find_if(model.parameters, end, [&](const kiln_parameter& q) { return name == q.name; });
    if (p == end) continue;
    std::optional<Image> shown = convolution ? Image{p->shape[1], p->shape[2], p->shape[3]} : image;
    if (!shown || (shown->channels != 1 && shown->channels != 3)) continue;
    const int64_t count = std::min(p->shape[0], kFilters), elements = shown->height * shown->width * shown->channels;
    if (elements * p->shape[0] != static_cast<int64_t>(p->count) || elements > kImageBytes) continue;
    const std::span values(reinterpret_cast<const float*>(weights + p->offset), static_cast<size_t>(count * elements));
    float largest = 0;
    for (const float value : values) largest = std::max(largest, std::abs(value));
    std::vector<uint8_t> bytes;  // 128 is 0
    for (const float value : values)
      bytes.push_back(static_cast<uint8_t>(std::lround(128 + 127 * (largest > 0 ? value / largest : 0))));
    json result = image_json(*shown);
    result.update({{"name", name}, {"count", count}, {"of", p->shape[0]}, {"largest", largest}});
    result["values"] = hexadecimal(bytes);
    return result;
  }
  return nullptr;
}

/// The picture for a page: without the declarations of a file of its own.
std::string inline_svg(std::string svg) {
  svg.erase(0, std::min(svg.find("<svg"), svg.size()));
  for (const char* name : {" xmlns=\"", " xmlns:xlink=\""}) {
    const size_t at = svg.find(name);
    if (at == std::string::npos) continue;
    svg.erase(at, svg.find('"', at + std::string_view(name).size()) + 1 - at);
  }
  return svg;
}

}  // namespace

std::string report_html(const kiln_model& model, const uint8_t* weights, const RunResults& results) {
  const std::optional<Image> image = image_of(model_inputs(model).shape);
  json data = {{"graph", model.name},
               {"run", results.run},
               {"outcome", results.outcome},
               {"finished", results.finished},
               {"metrics", results.metrics},
               {"monitor", results.monitor},
               {"best_epoch", results.best_epoch},
               {"kept_epoch", results.kept_epoch},
               {"seconds", results.seconds},
               {"weights_crc32", results.weights_checksum},
               {"image", nullptr},
               {"evaluations", json::array()},
               {"reconstructions", nullptr},
               {"filters", nullptr},
               {"svg", inline_svg(model.svg == nullptr ? "" : model.svg)},
               {"layers", json::object()},  // of the picture's nodes
               {"profile", nullptr}};
  int64_t parameters = 0;
  for (int32_t i = 0; i < model.parameter_count; ++i) {
    if (model.parameters[i].kind != KILN_OPTIMIZER_STATE) parameters += static_cast<int64_t>(model.parameters[i].count);
  }
  data["parameters"] = parameters;
  if (image) data["image"] = image_json(*image);
  for (const Evaluation& evaluation : results.evaluations)
    data["evaluations"].push_back(evaluation_json(evaluation, image));
  if (model.structure != nullptr && *model.structure != '\0') {
    const json structure = json::parse(model.structure);
    for (const json& node : structure.at("nodes"))
      data["layers"][fmt::format("n{}", node.at("id").get<int>())] = node.at("layer");
    data["filters"] = filters_json(model, structure, image, weights);
  }
  if (results.reconstructions) data["reconstructions"] = reconstructions_json(*results.reconstructions, image);
  if (results.profile) data["profile"] = profile_json(*results.profile);
  return page_with_data(kReportPage, data);
}

}  // namespace kiln
