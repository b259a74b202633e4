#pragma once

#include <string_view>

#include "data/dataset.h"

namespace kiln {

bool is_idx(std::string_view bytes);

/// MNIST's format (unsigned bytes): images of rows x height x width with `shape` height x width x 1.
Dataset parse_idx_images(std::string_view bytes, const std::string& name, const std::vector<int64_t>& shape);
std::vector<int32_t> parse_idx_labels(std::string_view bytes, const std::string& name, int32_t classes);

}  // namespace kiln
