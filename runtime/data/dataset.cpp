#include "data/dataset.h"

#include <fmt/format.h>

#include <filesystem>

#include "data/csv.h"
#include "data/gzip.h"
#include "data/idx.h"
#include "error.h"

namespace kiln {
namespace {

std::string read_unpacked(const std::string& path) {
  std::string bytes = read_file(path);
  return is_gzip(bytes) ? unpack_gzip(bytes, path) : bytes;
}

/// MNIST's naming: train-images-idx3-ubyte goes with train-labels-idx1-ubyte.
std::string labels_beside(const std::string& path) {
  std::string result = path;
  const size_t at = result.rfind("images-idx3");
  if (at == std::string::npos) return "";
  result.replace(at, 11, "labels-idx1");
  return std::filesystem::exists(result) ? result : "";
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
