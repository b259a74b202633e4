#include "codegen/compile_cache.h"

#include <llvm/ADT/StringExtras.h>
#include <llvm/Support/SHA256.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSuffix = ".cached";

/// SHA-256 of several texts, each of which ends where it ends.
std::string hash(std::initializer_list<const std::string*> texts) {
  llvm::SHA256 sha;
  for (const std::string* text : texts) {
    sha.update(std::to_string(text->size()) + ":");
    sha.update(*text);
  }
  return llvm::toHex(sha.final(), true);
}

/// Ours are 64 hexadecimal digits with the suffix, and what is being written has six letters more: the folder may hold
/// other files.
bool is_entry(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.find(kSuffix) == 64 && name.find_first_not_of("0123456789abcdef") == 64;
}

}  // namespace

std::string CompileCache::path(const std::string& source) const {
  return (fs::path(folder_) / hash({&compiler_, &source})).string() + kSuffix;
}

std::optional<std::string> CompileCache::find(const std::string& source) const {
  if (folder_.empty()) return std::nullopt;
  const std::string name = path(source);
  std::ifstream file(name, std::ios::binary);
  if (!file) return std::nullopt;
  std::stringstream bytes;
  bytes << file.rdbuf();
  const std::string text = bytes.str();
  constexpr size_t kChecksum = 64;
  if (text.size() < kChecksum) return std::nullopt;
  std::string result = text.substr(kChecksum);
  if (text.compare(0, kChecksum, hash({&result})) != 0) return std::nullopt;
  std::error_code ignored;
  fs::last_write_time(name, fs::file_time_type::clock::now(), ignored);  // when it was used last, for trim()
  return result;
}

void CompileCache::store(const std::string& source, const std::string& result) const {
  if (folder_.empty()) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  const std::string name = path(source);
  std::string temporary = name + "XXXXXX";
  const int descriptor = mkstemp(temporary.data());
  if (descriptor < 0) return;
  close(descriptor);
  std::ofstream file(temporary, std::ios::binary);
  file << hash({&result}) << result;
  file.close();
  if (file) fs::rename(temporary, name, error);
  if (!file || error) fs::remove(temporary, error);
}

void CompileCache::trim(uint64_t limit) const {
  if (folder_.empty()) return;
  struct Entry {
    fs::file_time_type used;
    fs::path path;
    uint64_t bytes;
  };
  std::vector<Entry> entries;
  uint64_t total = 0;
  std::error_code error;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    if (!is_entry(at->path())) continue;
    std::error_code gone;  // another process may be trimming too
    const uint64_t bytes = at->file_size(gone);
    if (gone) continue;
    const auto used = at->last_write_time(gone);
    if (gone) continue;
    entries.push_back({used, at->path(), bytes});
    total += bytes;
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& entry : entries) {
    if (total <= limit) break;
    fs::remove(entry.path, error);
    total -= entry.bytes;
  }
}

std::string default_cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string folder = variable("KILN_CACHE"); !folder.empty()) return folder == "none" ? "" : folder;
  if (const std::string folder = variable("XDG_CACHE_HOME"); !folder.empty()) return folder + "/kiln";
  const std::string home = variable("HOME");
  return home.empty() ? "" : home + "/.cache/kiln";
}

}  // namespace kiln
