#include "data/dataset.h"

#include <fmt/format.h>

#include <filesystem>

#include "data/csv.h"
#include "data/gzip.h"
#include "data/idx.h"
#include "error.h"

namespace kiln {
namespace {

/// MNIST's naming: train-images-idx3-ubyte (or .idx3-ubyte) goes with train-labels-idx1-ubyte, packed or not.
std::string labels_beside(const std::string& path) {
  for (const std::string& images : {std::string("images-idx3"), std::string("images.idx3")}) {
    const size_t at = path.rfind(images);
    if (at == std::string::npos) continue;
    std::string plain = path;
    plain.replace(at, images.size(), fmt::format("labels{}idx1", images[6]));
    if (plain.ends_with(".gz")) plain.resize(plain.size() - 3);
    std::error_code error;
    for (const std::string& labels : {path.ends_with(".gz") ? plain + ".gz" : plain, plain, plain + ".gz"}) {
      if (std::filesystem::is_regular_file(labels, error)) return labels;
    }
  }
  return "";
}

}  // namespace

Dataset rows_of(const Dataset& dataset, int64_t first, int64_t count) {
  const auto begin = dataset.pixels.begin() + first * dataset.elements();
  Dataset result = {.rows = count,
                    .shape = dataset.shape,
                    .pixels = {begin, begin + count * dataset.elements()},
                    .labels = {},
                    .origin = dataset.origin};
  if (!dataset.labels.empty())
    result.labels.assign(dataset.labels.begin() + first, dataset.labels.begin() + first + count);
  return result;
}

Dataset load_dataset(const std::string& path, const std::vector<int64_t>& shape, int32_t classes,
                     const std::string& labels_path) {
  const std::string bytes = read_unpacked(path);
  if (!is_idx(bytes)) {
    if (!labels_path.empty()) {
      throw DataError(fmt::format("{}: is no IDX file, so that no label file ({}) goes with it", path, labels_path));
    }
    return parse_csv(bytes, path, shape, classes);
  }
  Dataset dataset = parse_idx_images(bytes, path, shape);
  const std::string labels = labels_path.empty() ? labels_beside(path) : labels_path;
  if (!labels.empty() && classes > 0) {
    dataset.labels = parse_idx_labels(read_unpacked(labels), labels, classes);
    if (static_cast<int64_t>(dataset.labels.size()) != dataset.rows) {
      throw DataError(
          fmt::format("{}: has {} labels, {} has {} images", labels, dataset.labels.size(), path, dataset.rows));
    }
  }
  return dataset;
}

}  // namespace kiln
