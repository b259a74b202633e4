#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "file_system.h"
#include "metrics.h"
#include "program.h"

namespace kiln {

/// A file of TensorBoard's in a folder, made when it is first written to:
/// events.out.tfevents.<seconds>.<host>.<process>. Each record is appended whole. All functions throw Failure where it
/// cannot be written.
class EventFile {
 public:
  EventFile(FileSystem& files, const std::string& folder);

  const std::string& path() const { return path_; }

  /// Numbers by name, shown as curves over `step`.
  void write_scalars(int64_t step, const MetricValues& values);
  /// How a tensor's finite values are distributed: 64 buckets of equal width between the least and the largest.
  void write_histogram(int64_t step, const std::string& name, std::span<const float> values);
  /// The picture of the model's graph; nothing where the model does not say what it is.
  void write_graph(const kiln_model& model);

 private:
  void write(std::string_view event);

  FileSystem& files_;
  std::string path_;
};

/// A record of the file: its length, a checksum of that, the data, a checksum of them. The checksums are CRC-32C,
/// rotated by 15 bits and shifted by a constant.
std::string event_record(std::string_view data);

/// CRC-32C (Castagnoli), as iSCSI has it.
uint32_t crc32c(std::string_view data);

}  // namespace kiln
