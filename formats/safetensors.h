#pragma once

#include <string>

#include "checkpoint.h"

namespace kiln {

/// The weights and statistics under Kiln's names and shapes ("conv2d_1/kernel", filters x height x width x channels).
std::string write_safetensors(const KilnFile& file, const std::string& origin);

/// A file of the network `like` with these weights: all of them, of the right shapes, as F32, F64, F16 or BF16. The
/// optimizer begins anew. Throws DataError for every way in which the file is not what the format says (length and
/// syntax of the header, names, offsets that leave holes or overlap) or not of this network.
KilnFile read_safetensors(const std::string& bytes, const KilnFile& like, const std::string& origin);

}  // namespace kiln
