#include "data/gzip.h"

#include <fmt/format.h>
#include <libdeflate.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "error.h"
#include "file_system.h"

namespace kiln {
namespace {

/// Deflate reaches 1032:1, images of digits 9:1. What is large and grows more than this is a trap, not data.
constexpr uint64_t kLargestRatio = 100;
constexpr uint64_t kAlwaysAllowed = 64 << 20;

/// What a file is given at first where its own word on its size is not to be trusted.
constexpr uint64_t kUsualRatio = 16;

/// What a member is given at least.
constexpr uint64_t kLeastRoom = 1 << 16;

}  // namespace

bool is_gzip(std::string_view bytes) { return bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b'; }

std::string unpack_gzip(std::string_view bytes, const std::string& name) {
  const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> decompressor(
      libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
  if (!decompressor) throw Failure(name + ": no memory to unpack it");
  const uint64_t limit = bytes.size() * kLargestRatio + kAlwaysAllowed;
  // The last four bytes are the size of the last member, usually the only one; in a file that is cut off they are
  // anything.
  uint32_t last_size = 0;
  if (bytes.size() >= 4) std::memcpy(&last_size, bytes.data() + bytes.size() - 4, 4);
  uint64_t room = std::max<uint64_t>(std::min<uint64_t>(last_size, bytes.size() * kUsualRatio), kLeastRoom);
  std::string result;  // the members so far, `size` bytes, and room for the next ones
  size_t size = 0;
  // A gzip file is a sequence of members, each of which ends with its unpacked size (modulo 2^32).
  while (!bytes.empty()) {
    if (!is_gzip(bytes)) throw DataError(name + ": is damaged: no gzip data where some should follow");
    size_t used = 0, made = 0;
    libdeflate_result status = LIBDEFLATE_INSUFFICIENT_SPACE;
    while (status == LIBDEFLATE_INSUFFICIENT_SPACE) {
      if (result.size() - size < room && result.size() < limit) {
        // What was made in too little room is not kept beside the larger one. The members before it move: that shall
        // not happen for each of many.
        result.resize(size);
        result.shrink_to_fit();
        result.resize(std::min(size + std::max<uint64_t>(room, size / 4), limit));
      }
      status = libdeflate_gzip_decompress_ex(decompressor.get(), bytes.data(), bytes.size(), result.data() + size,
                                             result.size() - size, &used, &made);
      if (status == LIBDEFLATE_INSUFFICIENT_SPACE && result.size() == limit) {
        throw DataError(
            fmt::format("{}: would grow to more than {} bytes when unpacked; that is no data file", name, limit));
      }
      room = 2 * (result.size() - size);
    }
    if (status != LIBDEFLATE_SUCCESS) throw DataError(name + ": is damaged or cut off: gzip cannot unpack it");
    size += made;
    bytes.remove_prefix(used);
    room = kLeastRoom;
  }
  result.resize(size);
  return result;
}

std::string read_unpacked(const std::string& path) {
  std::string bytes = read_file(path);
  return is_gzip(bytes) ? unpack_gzip(bytes, path) : bytes;
}

std::string pack_gzip(std::string_view bytes) {
  const std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor(
      libdeflate_alloc_compressor(6), libdeflate_free_compressor);
  if (!compressor) throw Failure("no memory to pack a file");
  std::string result(libdeflate_gzip_compress_bound(compressor.get(), bytes.size()), '\0');
  result.resize(libdeflate_gzip_compress(compressor.get(), bytes.data(), bytes.size(), result.data(), result.size()));
  return result;
}

}  // namespace kiln
