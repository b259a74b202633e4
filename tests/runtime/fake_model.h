#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "file_system.h"
#include "program.h"

namespace kiln {

/// Hand-written models behind the interface of compiled ones: softmax regression on centred pixels (the moving mean is
/// a statistic), input dropout from seed and step, momentum. Honest enough that a wrong seed, step, count, order of the
/// rows or forgotten part of the state changes the bits of the result. All matrices are plain loops; what the step does
/// is spread over the threads class by class.
const kiln_model& small_model();   // 4x4x1 images, 3 classes, 6 rows a batch in 8 lanes, 4 rows predicted at a time
const kiln_model& digits_model();  // 28x28x1 images, 10 classes, 64 rows a batch

/// Rows that `model` can learn: each class brightens its own pixels, amid noise.
Dataset learnable_rows(const kiln_model& model, int64_t rows, uint64_t seed = 1);

/// A folder of the test's own, empty at first and removed with it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  /// The names of the files in it and the folders below, sorted.
  std::vector<std::string> names() const;

 private:
  std::string path_;
};

/// The disk, but the n-th call of write, sync or rename (counted from 1) fails with ENOSPC, a write after half its
/// bytes.
class FailingFileSystem : public DiskFileSystem {
 public:
  explicit FailingFileSystem(int fail_at) : left_(fail_at) {}
  int write(int file, const char* data, size_t size, size_t& written) override;
  int sync(int file) override;
  int rename(const std::string& from, const std::string& to) override;
  bool failed() const { return left_ <= 0; }

 private:
  bool fails() { return --left_ == 0; }
  int left_;
};

}  // namespace kiln
