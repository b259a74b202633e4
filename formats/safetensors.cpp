// https://github.com/huggingface/safetensors, "Format".
#include "safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "error.h"
#include "half.h"
#include "parameters.h"

namespace kiln {
namespace {

using nlohmann::json;

constexpr uint64_t kHeaderLimit = 100'000'000;

struct Entry {
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

[[noreturn]] void refuse(const std::string& origin, const std::string& message) {
  throw DataError(origin + ": " + message);
}

uint64_t element_size(const std::string& dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL" || dtype == "F8_E4M3" || dtype == "F8_E5M2") return 1;
  return 0;
}

template <class T>
T number(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

std::vector<float> values(const Entry& entry, const char* data) {
  const uint64_t size = element_size(entry.dtype);
  std::vector<float> result((entry.end - entry.begin) / size);
  for (size_t i = 0; i < result.size(); ++i) {
    const char* at = data + entry.begin + i * size;
    result[i] = entry.dtype == "F32"   ? number<float>(at)
                : entry.dtype == "F64" ? static_cast<float>(number<double>(at))
                : entry.dtype == "F16" ? from_half(number<uint16_t>(at))
                                       : from_bf16(number<uint16_t>(at));
  }
  return result;
}

/// Every check of the format; the entries by name.
std::map<std::string, Entry> parse(const std::string& bytes, const std::string& origin, uint64_t& data) {
  if (bytes.size() < 8) refuse(origin, fmt::format("has {} bytes, too few for a safetensors file", bytes.size()));
  const auto length = number<uint64_t>(bytes.data());
  if (length > kHeaderLimit || length > bytes.size() - 8)
    refuse(origin, fmt::format("its header of {} bytes does not fit into {} bytes: no safetensors file, or cut off",
                               length, bytes.size()));
  data = 8 + length;
  if (length == 0 || bytes[8] != '{') refuse(origin, "its header does not begin with {: it is no safetensors file");
  bool twice = false;
  std::set<std::string> seen;
  const json header = json::parse(
      bytes.begin() + 8, bytes.begin() + static_cast<int64_t>(data),
      [&](int depth, json::parse_event_t event, json& parsed) {
        if (depth == 1 && event == json::parse_event_t::key) twice |= !seen.insert(parsed.get<std::string>()).second;
        return true;
      },
      false);
  if (!header.is_object()) refuse(origin, "its header is no JSON object");
  if (twice) refuse(origin, "its header names a tensor twice");
  std::map<std::string, Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      if (!value.is_object() || !std::all_of(value.begin(), value.end(), [](const json& v) { return v.is_string(); }))
        refuse(origin, "its __metadata__ does not map strings to strings");
      continue;
    }
    Entry entry;
    try {
      entry.dtype = value.at("dtype").get<std::string>();
      for (const json& extent : value.at("shape")) {
        if (!extent.is_number_unsigned()) throw DataError("");
        entry.shape.push_back(extent.get<int64_t>());
      }
      const json& offsets = value.at("data_offsets");
      if (value.size() != 3 || offsets.size() != 2 || !offsets.at(0).is_number_unsigned() ||
          !offsets.at(1).is_number_unsigned())
        throw DataError("");
      entry.begin = offsets.at(0).get<uint64_t>();
      entry.end = offsets.at(1).get<uint64_t>();
    } catch (const std::exception&) {
      refuse(origin, fmt::format("tensor '{}' is not described by dtype, shape and data_offsets", name));
    }
    uint64_t size = element_size(entry.dtype);
    if (size == 0) refuse(origin, fmt::format("tensor '{}' has the unknown type {}", name, entry.dtype));
    for (const int64_t extent : entry.shape) {
      if (extent < 0 || (extent > 0 && size > bytes.size() / static_cast<uint64_t>(extent)))
        refuse(origin, fmt::format("tensor '{}' of {} is larger than the file", name, fmt::join(entry.shape, "x")));
      size *= static_cast<uint64_t>(extent);
    }
    if (entry.begin > entry.end || entry.end > bytes.size() - data || entry.end - entry.begin != size)
      refuse(origin, fmt::format("tensor '{}' takes the bytes {} to {} of {}, expected {} for its shape", name,
                                 entry.begin, entry.end, bytes.size() - data, size));
    entries.emplace(name, std::move(entry));
  }
  std::vector<std::pair<uint64_t, uint64_t>> spans;
  for (const auto& [name, entry] : entries) spans.emplace_back(entry.begin, entry.end);
  std::sort(spans.begin(), spans.end());
  uint64_t at = 0;
  for (const auto& [begin, end] : spans) {
    if (begin != at) refuse(origin, fmt::format("its tensors leave a hole or overlap at byte {} of the data", at));
    at = end;
  }
  if (at != bytes.size() - data)
    refuse(origin, fmt::format("has {} bytes behind its tensors", bytes.size() - data - at));
  return entries;
}

}  // namespace

std::string write_safetensors(const KilnFile& file, const std::string& origin) {
  json header = json::object();
  std::string data;
  for (const Parameter& p : parameters(file, origin)) {
    if (!p.weight) continue;
    const std::vector<float> numbers = read_parameter(file, p);
    const uint64_t begin = data.size();
    data.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float));
    header[p.name] = {{"dtype", "F32"}, {"shape", p.shape}, {"data_offsets", {begin, data.size()}}};
  }
  header["__metadata__"] = {{"format", "kiln"},
                            {"graph", file.header.value("graph", "")},
                            {"fingerprint", file.header.value("fingerprint", "")}};
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data aligned
  std::string bytes(8, '\0');
  const uint64_t length = text.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + text + data;
}

KilnFile read_safetensors(const std::string& bytes, const KilnFile& like, const std::string& origin) {
  uint64_t data = 0;
  std::map<std::string, Entry> entries = parse(bytes, origin, data);
  KilnFile result = like;
  result.checkpoint.average.clear();
  result.checkpoint.best.clear();
  std::fill(result.checkpoint.optimizer.begin(), result.checkpoint.optimizer.end(), uint8_t{0});
  for (const Parameter& p : parameters(result, "the graph of this program")) {
    if (!p.weight) continue;
    const auto entry = entries.find(p.name);
    if (entry == entries.end()) refuse(origin, fmt::format("lacks the tensor '{}' of the graph", p.name));
    const std::string& dtype = entry->second.dtype;
    if ((dtype[0] != 'F' && dtype != "BF16") || element_size(dtype) == 1)
      refuse(origin, fmt::format("tensor '{}' is {}, expected F32, F64, F16 or BF16", p.name, dtype));
    if (entry->second.shape != p.shape) {
      refuse(origin, fmt::format("tensor '{}' has the shape {}, expected {}", p.name,
                                 fmt::join(entry->second.shape, "x"), fmt::join(p.shape, "x")));
    }
    const std::vector<float> numbers = values(entry->second, bytes.data() + data);
    if (!std::all_of(numbers.begin(), numbers.end(), [](float v) { return std::isfinite(v); }))
      refuse(origin, fmt::format("tensor '{}' has a value that is infinite or not a number", p.name));
    write_parameter(result, p, numbers);
    entries.erase(entry);
  }
  if (!entries.empty()) {
    refuse(origin, fmt::format("has the tensor '{}', which the graph lacks", entries.begin()->first));
  }
  result.checkpoint.progress = {{"notes", json::array({"safetensors hold weights alone: the optimizer begins anew"})}};
  return result;
}

}  // namespace kiln
