#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kiln {

/// Results of compiling, kept in a folder under what they were made from, so that a rebuild compiles what changed. Any
/// number of processes and threads may use one folder. Nothing that goes wrong with a file is an error: a damaged entry
/// is none, and where nothing can be written nothing is kept.
class CompileCache {
 public:
  CompileCache() = default;  // keeps nothing
  /// `compiler` stands for the compiler's own code: entries of another one are not found. An empty folder keeps
  /// nothing.
  CompileCache(std::string folder, std::string compiler) : folder_(std::move(folder)), compiler_(std::move(compiler)) {}

  /// What was stored for `source`, the complete description of what it is made from.
  std::optional<std::string> find(const std::string& source) const;
  void store(const std::string& source, const std::string& result) const;
  /// Drops the entries that have been unused for longest until `limit` bytes are left.
  void trim(uint64_t limit = uint64_t{256} << 20) const;

 private:
  std::string path(const std::string& source) const;
  std::string folder_, compiler_;
};

/// $KILN_CACHE, else $XDG_CACHE_HOME/kiln, else ~/.cache/kiln; empty, which keeps nothing, if it says "none" or there
/// is no home.
std::string default_cache_folder();

}  // namespace kiln
