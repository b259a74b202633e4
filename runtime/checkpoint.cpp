#include "checkpoint.h"

#include <fmt/format.h>
#include <zlib.h>

#include <cstring>

#include "error.h"

namespace kiln {
namespace {

constexpr std::string_view kMagic = "KILNFILE";
constexpr uint32_t kVersion = 1;
constexpr uint64_t kPreamble = 24;  // magic, version, checksum, header length
constexpr uint64_t kChecked = 16;   // where the checksummed part begins
constexpr uint64_t kHeaderLimit = 1 << 20;
constexpr int kDepthLimit = 64;  // of the header; JSON is parsed in a loop, but copied and printed by recursion
constexpr uint64_t kAlignment = 64;

uint64_t padded(uint64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

template <class T>
T read_number(const std::string& bytes, uint64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

template <class T>
void put_number(std::string& bytes, uint64_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

std::string_view view(const std::vector<uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

uint32_t checksum(uint32_t so_far, std::string_view bytes) {
  if (bytes.empty()) return so_far;  // zlib starts anew at a null pointer
  return static_cast<uint32_t>(crc32_z(so_far, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

const char* const kRegions[] = {"weights", "optimizer", "average", "best"};

/// The region of that name, of a checkpoint or a const one.
template <class C>
auto& region(C& checkpoint, std::string_view name) {
  if (name == "weights") return checkpoint.weights;
  if (name == "optimizer") return checkpoint.optimizer;
  if (name == "average") return checkpoint.average;
  return checkpoint.best;
}

}  // namespace

std::string weights_checksum(const Checkpoint& checkpoint) {
  return fmt::format("{:08x}", checksum(0, view(checkpoint.weights)));
}

namespace {

nlohmann::json header_of(const kiln_model& model, const Checkpoint& checkpoint) {
  nlohmann::json header = {{"graph", model.name},
                           {"fingerprint", model.fingerprint},
                           {"compiler", model.compiler},
                           {"progress", checkpoint.progress}};
  nlohmann::json& parameters = header["parameters"] = nlohmann::json::array();
  for (int i = 0; i < model.parameter_count; ++i) {
    const kiln_parameter& p = model.parameters[i];
    parameters.push_back(
        {{"name", p.name}, {"shape", std::vector<int64_t>(p.shape, p.shape + p.rank)}, {"offset", p.offset}});
  }
  if (model.structure && *model.structure) header["structure"] = nlohmann::json::parse(model.structure);
  return header;
}

/// The file in pieces: views of `head`, which is filled in, and of the regions.
std::vector<std::string_view> file_pieces(const std::string& path, nlohmann::json header, const Checkpoint& checkpoint,
                                          std::string& head) {
  for (const char* name : kRegions) header["regions"][name] = region(checkpoint, name).size();
  std::string text = header.dump();
  if (text.size() > kHeaderLimit && header.erase("structure") > 0) text = header.dump();  // only exports need it
  if (text.size() > kHeaderLimit)
    throw Failure(fmt::format("{}: the header would have {} bytes, more than {}", path, text.size(), kHeaderLimit));
  head.assign(padded(kPreamble + text.size()), '\0');
  std::memcpy(head.data(), kMagic.data(), kMagic.size());
  put_number(head, 8, kVersion);
  put_number<uint64_t>(head, kChecked, text.size());
  std::memcpy(head.data() + kPreamble, text.data(), text.size());

  static constexpr char kZeros[kAlignment] = {};
  std::vector<std::string_view> pieces = {head};
  for (const char* name : kRegions) {
    const std::string_view bytes = view(region(checkpoint, name));
    pieces.push_back(bytes);
    pieces.emplace_back(kZeros, padded(bytes.size()) - bytes.size());
  }
  uint32_t sum = checksum(0, std::string_view(head).substr(kChecked));
  for (size_t i = 1; i < pieces.size(); ++i) sum = checksum(sum, pieces[i]);
  put_number(head, 12, sum);
  return pieces;
}

std::string joined(const std::vector<std::string_view>& pieces) {
  std::string result;
  size_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  result.reserve(size);
  for (const std::string_view piece : pieces) result += piece;
  return result;
}

}  // namespace

void save_checkpoint(FileSystem& files, const std::string& path, const kiln_model& model,
                     const Checkpoint& checkpoint) {
  std::string head;
  write_atomically(files, path, file_pieces(path, header_of(model, checkpoint), checkpoint, head));
}

std::string checkpoint_bytes(const kiln_model& model, const Checkpoint& checkpoint) {
  std::string head;
  return joined(file_pieces(model.name, header_of(model, checkpoint), checkpoint, head));
}

std::string kiln_file_bytes(const KilnFile& file) {
  nlohmann::json header = file.header;
  header["progress"] = file.checkpoint.progress;
  std::string head;
  return joined(file_pieces("-", std::move(header), file.checkpoint, head));
}

namespace {

/// The header and each region's size, and where the first one begins.
struct Layout {
  nlohmann::json header;
  std::vector<uint64_t> sizes;
  uint64_t begin = 0;
};

Layout parse_layout(const std::string& bytes, const std::string& path) {
  const auto refuse = [&](const std::string& message) { throw DataError(path + ": " + message); };
  if (bytes.size() < kPreamble || std::string_view(bytes).substr(0, 8) != kMagic)
    refuse("is no Kiln file: it does not begin with KILNFILE");
  if (const auto version = read_number<uint32_t>(bytes, 8); version != kVersion) {
    refuse(fmt::format("has version {}, this program reads version {}", version, kVersion));
  }
  const auto length = read_number<uint64_t>(bytes, kChecked);
  if (length > kHeaderLimit || padded(kPreamble + length) > bytes.size()) {
    refuse(fmt::format("its header of {} bytes does not fit into {} bytes; the file is damaged", length, bytes.size()));
  }
  const uint32_t expected = read_number<uint32_t>(bytes, 12),
                 found = checksum(0, std::string_view(bytes).substr(kChecked));
  if (expected != found)
    refuse(fmt::format("checksum is {:08x}, expected {:08x}; the file is damaged or was cut off", found, expected));

  Layout layout;
  const auto shallow = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > kDepthLimit)
      refuse(fmt::format("its header is nested more than {} deep; no program of Kiln's wrote it", kDepthLimit));
    return true;
  };
  layout.header = nlohmann::json::parse(bytes.begin() + kPreamble,
                                        bytes.begin() + static_cast<int64_t>(kPreamble + length), shallow, false);
  layout.begin = padded(kPreamble + length);
  try {
    if (const nlohmann::json& progress = layout.header.at("progress"); !progress.is_object())
      refuse(fmt::format("its header's progress is of type {}, expected object", progress.type_name()));
    for (const char* name : kRegions) require_whole_numbers(layout.header.at("regions"), {{name, 0}});
    for (const char* name : kRegions) layout.sizes.push_back(layout.header.at("regions").at(name).get<uint64_t>());
  } catch (const nlohmann::json::exception& error) {
    refuse(fmt::format("its header is not what it should be ({})", error.what()));
  }
  return layout;
}

Checkpoint read_regions(const Layout& layout, const std::string& bytes, const std::string& path) {
  const auto refuse = [&](const std::string& message) { throw DataError(path + ": " + message); };
  Checkpoint checkpoint;
  checkpoint.progress = layout.header.at("progress");
  uint64_t offset = layout.begin;
  for (size_t i = 0; i < layout.sizes.size(); ++i) {
    const uint64_t size = layout.sizes[i];
    if (size > bytes.size() || offset + padded(size) > bytes.size())
      refuse(fmt::format("has {} bytes, too few for its {}", bytes.size(), kRegions[i]));
    region(checkpoint, kRegions[i])
        .assign(bytes.begin() + static_cast<int64_t>(offset), bytes.begin() + static_cast<int64_t>(offset + size));
    offset += padded(size);
  }
  if (offset != bytes.size()) refuse(fmt::format("has {} bytes, expected {}", bytes.size(), offset));
  return checkpoint;
}

}  // namespace

void require_whole_numbers(const nlohmann::json& value, const nlohmann::json& pattern) {
  if (pattern.is_number_integer() && !value.is_number_integer())
    throw nlohmann::json::type_error::create(302, fmt::format("{} should be a whole number", value.dump()), nullptr);
  if (!pattern.is_object() || !value.is_object()) return;
  for (const auto& [name, part] : pattern.items()) {
    if (value.contains(name)) require_whole_numbers(value.at(name), part);
  }
}

KilnFile parse_kiln_file(const std::string& bytes, const std::string& path) {
  Layout layout = parse_layout(bytes, path);
  Checkpoint checkpoint = read_regions(layout, bytes, path);
  return {std::move(layout.header), std::move(checkpoint)};
}

Checkpoint parse_checkpoint(const std::string& bytes, const std::string& path, const kiln_model& model) {
  const auto refuse = [&](const std::string& message) { throw DataError(path + ": " + message); };
  const Layout layout = parse_layout(bytes, path);
  std::string graph, fingerprint;
  try {
    graph = layout.header.at("graph").get<std::string>();
    fingerprint = layout.header.at("fingerprint").get<std::string>();
  } catch (const nlohmann::json::exception& error) {
    refuse(fmt::format("its header is not what it should be ({})", error.what()));
  }
  if (graph != model.name) refuse(fmt::format("belongs to the graph '{}', this program is '{}'", graph, model.name));
  if (fingerprint != model.fingerprint) {
    refuse(
        fmt::format("was made by another version of the graph '{}' (fingerprint {}, this program has {}); train again",
                    graph, fingerprint, model.fingerprint));
  }
  const uint64_t optimizer = model.state_bytes - model.weight_bytes;
  const uint64_t allowed[4] = {model.weight_bytes, optimizer, model.weight_bytes, model.weight_bytes};
  for (size_t i = 0; i < 4; ++i) {
    const bool optional = i > 0;
    const uint64_t size = layout.sizes[i];
    if (size != allowed[i] && !(optional && size == 0)) {
      refuse(fmt::format("its {} have {} bytes, expected {}", kRegions[i], size, allowed[i]));
    }
  }
  return read_regions(layout, bytes, path);
}

Checkpoint load_checkpoint(const std::string& path, const kiln_model& model) {
  return parse_checkpoint(read_file(path), path, model);
}

}  // namespace kiln
