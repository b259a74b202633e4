#include "data/idx.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "error.h"

namespace kiln {
namespace {

std::string hex(std::string_view bytes) {
  return fmt::format("{:02x}", fmt::join(reinterpret_cast<const uint8_t*>(bytes.data()),
                                         reinterpret_cast<const uint8_t*>(bytes.data()) + bytes.size(), " "));
}

/// Extents of an IDX file of unsigned bytes, whose header and size are checked: two zero bytes, type 8, the rank, then
/// each extent as a big-endian u32.
std::vector<uint32_t> extents_of(std::string_view bytes, const std::string& name, size_t rank) {
  if (!is_idx(bytes) || bytes[2] != 8 || static_cast<size_t>(bytes[3]) != rank) {
    throw DataError(
        fmt::format("{}: expected an IDX file's first bytes 00 00 08 {:02x} (bytes of {} dimension{}), found {}", name,
                    rank, rank, rank == 1 ? "" : "s", hex(bytes.substr(0, 4))));
  }
  if (bytes.size() < 4 + 4 * rank) {
    throw DataError(fmt::format("{}: is cut off: {} bytes, an IDX header has {}", name, bytes.size(), 4 + 4 * rank));
  }
  std::vector<uint32_t> extents;
  unsigned __int128 size = 1;
  for (size_t d = 0; d < rank; ++d) {
    uint32_t extent = 0;
    for (size_t i = 0; i < 4; ++i) extent = extent << 8 | static_cast<uint8_t>(bytes[4 + 4 * d + i]);
    extents.push_back(extent);
    size *= extent;
  }
  if (size != bytes.size() - 4 - 4 * rank) {
    throw DataError(fmt::format("{}: its header says {} bytes of data, found {}", name, fmt::join(extents, "x"),
                                bytes.size() - 4 - 4 * rank));
  }
  return extents;
}

}  // namespace

bool is_idx(std::string_view bytes) { return bytes.size() >= 4 && bytes[0] == 0 && bytes[1] == 0; }

Dataset parse_idx_images(std::string_view bytes, const std::string& name, const std::vector<int64_t>& shape) {
  const auto extents = extents_of(bytes, name, 3);
  Dataset dataset;
  dataset.rows = extents[0];
  dataset.shape = shape;
  dataset.origin = name;
  if (shape.size() < 2 || extents[1] != shape[0] || extents[2] != shape[1] ||
      dataset.elements() != int64_t{extents[1]} * extents[2]) {
    throw DataError(
        fmt::format("{}: images are {}x{}, expected {}", name, extents[1], extents[2], fmt::join(shape, "x")));
  }
  if (dataset.rows == 0) throw DataError(name + ": has no images");
  dataset.pixels.assign(bytes.begin() + 16, bytes.end());
  return dataset;
}

std::vector<int32_t> parse_idx_labels(std::string_view bytes, const std::string& name, int32_t classes) {
  const auto extents = extents_of(bytes, name, 1);
  std::vector<int32_t> labels;
  for (uint32_t i = 0; i < extents[0]; ++i) {
    const int32_t label = static_cast<uint8_t>(bytes[8 + i]);
    if (label >= classes)
      throw DataError(fmt::format("{}: label {}: expected 0..{}, found {}", name, i, classes - 1, label));
    labels.push_back(label);
  }
  return labels;
}

}  // namespace kiln
