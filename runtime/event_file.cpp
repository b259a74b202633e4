#include "event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

namespace kiln {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

/// A message in protocol buffers' wire format, field by field; the few kinds that events have.
class Message {
 public:
  Message& integer(int field, int64_t value) {
    varint(static_cast<uint64_t>(field) << 3);
    return varint(static_cast<uint64_t>(value));
  }
  Message& f64(int field, double value) {
    varint(static_cast<uint64_t>(field) << 3 | 1);
    bytes_ += little_endian(value);
    return *this;
  }
  Message& f32(int field, float value) {
    varint(static_cast<uint64_t>(field) << 3 | 5);
    bytes_ += little_endian(value);
    return *this;
  }
  Message& bytes(int field, std::string_view value) {
    varint(static_cast<uint64_t>(field) << 3 | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return bytes(field, value.bytes_); }
  Message& f64s(int field, std::span<const double> values) {
    return bytes(field, {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  }
  const std::string& str() const { return bytes_; }

 private:
  Message& varint(uint64_t value) {
    for (; value > 127; value >>= 7) bytes_ += static_cast<char>(value | 128);
    bytes_ += static_cast<char>(value);
    return *this;
  }

  std::string bytes_;
};

/// tensorflow/core/util/event.proto
Message event(int64_t step) {
  Message result;
  result.f64(1, seconds_now());
  if (step != 0) result.integer(2, step);
  return result;
}

/// tensorflow/core/framework/attr_value.proto: a list of one shape.
Message shape_attribute(const nlohmann::json& shape) {
  Message dimensions;
  for (const nlohmann::json& extent : shape)
    dimensions.message(2, Message().integer(1, extent.is_null() ? -1 : extent.get<int64_t>()));
  return Message().message(1, Message().message(7, dimensions));
}

std::string text_of(const nlohmann::json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

/// tensorflow/core/framework/graph.proto: our nodes under their layers' names, so that a layer is a box.
Message graph_definition(const nlohmann::json& structure) {
  std::map<int, std::string> names;
  std::map<std::string, int> used;
  Message graph;
  for (const nlohmann::json& node : structure.at("nodes")) {
    const std::string op = node.at("op").get<std::string>();
    const nlohmann::json& attributes = node.at("attributes");
    std::string name = op == "parameter" || op == "input" ? attributes.at("name").get<std::string>()
                                                          : node.at("layer").get<std::string>() + "/" + op;
    if (const int count = used[name]++; count > 0) name += fmt::format("_{}", count);
    names[node.at("id").get<int>()] = name;
    Message definition;
    definition.bytes(1, name).bytes(2, op);
    for (const nlohmann::json& input : node.at("inputs")) definition.bytes(3, names.at(input.get<int>()));
    const auto attribute = [&](const std::string& key, const Message& value) {
      definition.message(5, Message().bytes(1, key).message(2, value));
    };
    attribute("_output_shapes", shape_attribute(node.at("shape")));
    attribute("line",
              Message().bytes(2, fmt::format("{}:{}", node.at("file").get<std::string>(), node.at("line").dump())));
    for (const auto& [key, value] : attributes.items()) attribute(key, Message().bytes(2, text_of(value)));
    graph.message(1, definition);
  }
  return graph.message(4, Message().integer(1, 22));  // the version of the format
}

}  // namespace

uint32_t crc32c(std::string_view data) {
  static constexpr std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ ((value & 1) != 0 ? 0x82F63B78U : 0U);
      table[i] = value;
    }
    return table;
  }();
  uint32_t sum = 0xFFFFFFFFU;
  for (const char c : data) sum = sum >> 8 ^ kTable[(sum ^ static_cast<uint8_t>(c)) & 255];
  return ~sum;
}

std::string event_record(std::string_view data) {
  const auto masked = [](std::string_view bytes) {
    const uint32_t sum = crc32c(bytes);
    return little_endian((sum >> 15 | sum << 17) + 0xA282EAD8U);
  };
  const std::string length = little_endian(static_cast<uint64_t>(data.size()));
  return length + masked(length) + std::string(data) + masked(data);
}

EventFile::EventFile(FileSystem& files, const std::string& folder) : files_(files) {
  create_folders(files, folder);
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  path_ = fmt::format("{}/events.out.tfevents.{}.{}.{}", folder, static_cast<int64_t>(seconds_now()), host.data(),
                      ::getpid());
  write(event(0).bytes(3, "brain.Event:2").str());
}

void EventFile::write(std::string_view event) { append(files_, path_, event_record(event)); }

void EventFile::write_scalars(int64_t step, const MetricValues& values) {
  Message summary;
  for (const auto& [name, value] : values)
    summary.message(1, Message().bytes(1, name).f32(2, static_cast<float>(value)));
  write(event(step).message(5, summary).str());
}

void EventFile::write_histogram(int64_t step, const std::string& name, std::span<const float> values) {
  double least = 0, largest = 0, count = 0, sum = 0, squares = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    least = count == 0 ? value : std::min<double>(least, value);
    largest = count == 0 ? value : std::max<double>(largest, value);
    ++count;
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const size_t buckets = largest > least ? 64 : 1;
  const double width = (largest - least) / static_cast<double>(buckets);
  std::vector<double> limits(buckets), counts(buckets, 0.0);
  for (size_t i = 0; i < buckets; ++i)
    limits[i] = i + 1 == buckets ? largest : least + width * static_cast<double>(i + 1);
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    const size_t at = width > 0 ? static_cast<size_t>((value - least) / width) : 0;
    ++counts[std::min(at, buckets - 1)];
  }
  Message histogram;
  histogram.f64(1, least).f64(2, largest).f64(3, count).f64(4, sum).f64(5, squares).f64s(6, limits).f64s(7, counts);
  write(event(step).message(5, Message().message(1, Message().bytes(1, name).message(5, histogram))).str());
}

void EventFile::write_graph(const kiln_model& model) {
  if (!model.structure || !*model.structure) return;
  write(event(0).bytes(4, graph_definition(nlohmann::json::parse(model.structure)).str()).str());
}

}  // namespace kiln
