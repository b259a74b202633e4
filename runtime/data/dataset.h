#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kiln {

/// Images in memory as bytes: 42,000 of 28 x 28 are 33 MB.
struct Dataset {
  int64_t rows = 0;
  std::vector<int64_t> shape;   // of one sample: {28, 28, 1}
  std::vector<uint8_t> pixels;  // rows * elements, row-major
  std::vector<int32_t> labels;  // empty when there are none
  std::string origin;           // for people: the file's name, or how it was made

  int64_t elements() const {
    int64_t count = 1;
    for (int64_t extent : shape) count *= extent;
    return count;
  }
};

/// So many rows of a data set, from the given one on.
Dataset rows_of(const Dataset& dataset, int64_t first, int64_t count);

/// Reads a data file, whose content tells its format: Kaggle's CSV or MNIST's IDX, plain or gzipped. Samples have
/// `shape` and labels 0..classes-1, none if `classes` is 0. `labels_path`: the label file of IDX images; without it,
/// the name with "images-idx3" replaced by "labels-idx1", if that file exists. Throws DataError with file, row and
/// column.
Dataset load_dataset(const std::string& path, const std::vector<int64_t>& shape, int32_t classes,
                     const std::string& labels_path = "");

}  // namespace kiln
