#pragma once

#include <span>
#include <string_view>

#include "data/dataset.h"
#include "file_system.h"

namespace kiln {

/// Kaggle's form: a header "label,pixel0,..." or "pixel0,...", then integers. `text` is the unpacked file, `name` what
/// errors call it. With 0 classes there is nothing to label: a column of labels is passed over.
Dataset parse_csv(std::string_view text, const std::string& name, const std::vector<int64_t>& shape, int32_t classes);

/// A label file in the form of a submission, packed or not: "ImageId,Label", the ids counting from 1, the labels from 0
/// to classes - 1.
std::vector<int32_t> read_labels(const std::string& path, int32_t classes);

/// Writes Kaggle's form; gzipped when the name ends in ".gz".
void write_csv(FileSystem& files, const std::string& path, const Dataset& dataset, bool with_labels);

/// "ImageId,Label" from 1.
void write_submission(FileSystem& files, const std::string& path, std::span<const int32_t> labels);

}  // namespace kiln
