#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "file_system.h"
#include "program.h"

namespace kiln {

/// The contents of a .kiln file: a model to predict with, or a whole training state to go on from.
///
/// The file: 8 bytes "KILNFILE", u32 version, u32 CRC-32 of all that follows it, u64 header length, the header (JSON,
/// at most 1 MiB), zeros up to a multiple of 64, then the regions, each padded to a multiple of 64. Little-endian. The
/// header names graph, fingerprint, structure, parameters and each region's size; the file is exactly as long as they
/// say.
struct Checkpoint {
  std::vector<uint8_t> weights;    // the state block's first weight_bytes
  std::vector<uint8_t> optimizer;  // the rest of the state block; empty in a model that only predicts
  std::vector<uint8_t> average;    // averaged weights, or empty
  std::vector<uint8_t> best;       // the best weights so far, or empty
  nlohmann::json progress = nlohmann::json::object();  // epoch, step, sums, options: the trainer's business
};

/// Eight hexadecimal digits: the CRC-32 of the weights, for people to compare two runs by.
std::string weights_checksum(const Checkpoint& checkpoint);

/// Writes the file, or leaves the old one; throws Failure.
void save_checkpoint(FileSystem& files, const std::string& path, const kiln_model& model, const Checkpoint& checkpoint);

/// The same bytes, in memory.
std::string checkpoint_bytes(const kiln_model& model, const Checkpoint& checkpoint);

/// Reads and checks everything (magic, version, bounds, checksum, depth, graph, sizes) before it believes anything;
/// throws DataError with what was expected and found. Allocates no more than the file's own size.
Checkpoint load_checkpoint(const std::string& path, const kiln_model& model);
/// The same of a file's bytes; `path` is its name in errors.
Checkpoint parse_checkpoint(const std::string& bytes, const std::string& path, const kiln_model& model);

/// Throws a JSON exception where `value` has another number than a whole one in the place of one in `pattern`: the JSON
/// library would convert 1e60 to any integer.
void require_whole_numbers(const nlohmann::json& value, const nlohmann::json& pattern);

/// A .kiln file of any graph, for who has no program of it. The header's "parameters" say where in the state block (the
/// weights, then the optimizer's state) each one lies, and "structure" what the graph is (compiler/driver/structure.h).
struct KilnFile {
  nlohmann::json header;
  Checkpoint checkpoint;
};

/// Checks what can be checked without a program; throws DataError.
KilnFile parse_kiln_file(const std::string& bytes, const std::string& path);
std::string kiln_file_bytes(const KilnFile& file);

}  // namespace kiln
