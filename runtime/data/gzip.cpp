#include "data/gzip.h"

#include <fmt/format.h>
#include <libdeflate.h>

#include <cstdint>
#include <cstring>
#include <memory>

#include "error.h"

namespace kiln {
namespace {

/// Deflate cannot do better than 1032:1; images of digits reach 9:1 and blank ones 250:1. What grows more is no data.
constexpr uint64_t kLargestRatio = 300;
constexpr uint64_t kAlwaysAllowed = 1 << 20;

}  // namespace

bool is_gzip(std::string_view bytes) { return bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b'; }

std::string unpack_gzip(std::string_view bytes, const std::string& name) {
  const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> decompressor(libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
  if (!decompressor) throw Failure(name + ": no memory to unpack it");
  std::string result;
  // A gzip file is a sequence of members, each of which ends with its unpacked size (modulo 2^32).
  while (!bytes.empty()) {
    if (!is_gzip(bytes)) throw DataError(name + ": is damaged: no gzip data where some should follow");
    uint32_t last_size = 0;
    if (bytes.size() >= 4) std::memcpy(&last_size, bytes.data() + bytes.size() - 4, 4);
    uint64_t room = std::max<uint64_t>(last_size, 1 << 16);
    const uint64_t limit = bytes.size() * kLargestRatio + kAlwaysAllowed;
    const size_t before = result.size();
    size_t used = 0, made = 0;
    libdeflate_result status = LIBDEFLATE_INSUFFICIENT_SPACE;
    while (status == LIBDEFLATE_INSUFFICIENT_SPACE) {
      if (room > limit) throw DataError(fmt::format("{}: would grow to more than {} bytes when unpacked; that is no data file", name, limit));
      result.resize(before + room);
      status = libdeflate_gzip_decompress_ex(decompressor.get(), bytes.data(), bytes.size(), result.data() + before, room, &used, &made);
      room *= 2;
    }
    if (status != LIBDEFLATE_SUCCESS) throw DataError(name + ": is damaged or cut off: gzip cannot unpack it");
    result.resize(before + made);
    bytes.remove_prefix(used);
  }
  return result;
}

std::string pack_gzip(std::string_view bytes) {
  const std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor(libdeflate_alloc_compressor(6), libdeflate_free_compressor);
  if (!compressor) throw Failure("no memory to pack a file");
  std::string result(libdeflate_gzip_compress_bound(compressor.get(), bytes.size()), '\0');
  result.resize(libdeflate_gzip_compress(compressor.get(), bytes.data(), bytes.size(), result.data(), result.size()));
  return result;
}

}  // namespace kiln
