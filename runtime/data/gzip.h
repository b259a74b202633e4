#pragma once

#include <string>
#include <string_view>

namespace kiln {

bool is_gzip(std::string_view bytes);

/// Unpacks a gzip file; throws DataError "name: ..." when it is damaged, or when it would grow beyond what honest data
/// of its size can be.
std::string unpack_gzip(std::string_view bytes, const std::string& name);

/// A file's contents, unpacked where they are packed.
std::string read_unpacked(const std::string& path);

std::string pack_gzip(std::string_view bytes);

}  // namespace kiln
