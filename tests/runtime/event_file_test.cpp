#include "event_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "fake_model.h"

namespace kiln {
namespace {

// RFC 3720, B.4
TEST(EventFile, ChecksumsAreThoseOfISCSI) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43U);
  std::string rising;
  for (char c = 0; c < 32; ++c) rising += c;
  EXPECT_EQ(crc32c(rising), 0x46DD794EU);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
}

TEST(EventFile, RecordsAreFramed) {
  const std::string record = event_record("abc");
  ASSERT_EQ(record.size(), 8 + 4 + 3 + 4U);
  uint64_t length = 0;
  std::memcpy(&length, record.data(), 8);
  EXPECT_EQ(length, 3U);
  EXPECT_EQ(record.substr(8, 4), "\xb0\x99\x49\x0e");
  EXPECT_EQ(record.substr(12, 3), "abc");
  EXPECT_EQ(record.substr(15, 4), "\x6e\x57\xf1\x21");
}

TEST(EventFile, AppendsRecordsAndSkipsValuesThatAreNotFinite) {
  std::string name = (std::filesystem::temp_directory_path() / "kiln-events-XXXXXX").string();
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  DiskFileSystem files;
  EventFile file(files, name + "/inner");
  const size_t first = read_file(file.path()).size();
  file.write_scalars(1, {{"loss", 0.5}});
  const float values[] = {1, 2, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()};
  file.write_histogram(1, "kernel", values);
  file.write_histogram(1, "equal", std::span(values, 1));
  file.write_histogram(1, "none", std::span(values, 0));
  file.write_graph(small_model());  // it does not say what it is
  const std::string bytes = read_file(file.path());
  size_t records = 0;
  for (size_t at = 0; at < bytes.size(); ++records) {
    uint64_t length = 0;
    ASSERT_LE(at + 16, bytes.size());
    std::memcpy(&length, bytes.data() + at, 8);
    EXPECT_EQ(bytes.substr(at, 16 + length), event_record(bytes.substr(at + 12, length)));
    at += 16 + length;
  }
  EXPECT_EQ(records, 5U);
  EXPECT_GT(bytes.size(), first);
  std::filesystem::remove_all(name);
}

/// The fields of a protocol buffer message: bytes as they are, varints as eight bytes.
std::multimap<int, std::string> fields_of(std::string_view message) {
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<uint8_t>(message.at(0));
      message.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  std::multimap<int, std::string> fields;
  while (!message.empty()) {
    const uint64_t tag = varint(), type = tag & 7;
    std::string value(8, '\0');
    if (type == 0) {
      const uint64_t number = varint();
      std::memcpy(value.data(), &number, 8);
    } else {
      const uint64_t size = type == 2 ? varint() : type == 1 ? 8 : 4;
      value = message.substr(0, size);
      message.remove_prefix(size);
    }
    fields.emplace(static_cast<int>(tag >> 3), value);
  }
  return fields;
}

int64_t number_of(const std::string& varint) {
  int64_t value = 0;
  std::memcpy(&value, varint.data(), 8);
  return value;
}

std::vector<std::string> all(const std::multimap<int, std::string>& fields, int field) {
  std::vector<std::string> values;
  for (auto [at, end] = fields.equal_range(field); at != end; ++at) values.push_back(at->second);
  return values;
}

TEST(EventFile, AGraphHasItsNodesUnderTheirLayersWithShapesAndLines) {
  TemporaryFolder folder;
  DiskFileSystem files;
  EventFile file(files, folder.path());
  const size_t before = read_file(file.path()).size();
  kiln_model model = small_model();
  model.structure = R"({"nodes": [
      {"id": 0, "op": "input", "layer": "image", "inputs": [], "shape": [null, 4], "file": "g.cpp", "line": 3,
       "attributes": {"name": "image"}},
      {"id": 1, "op": "parameter", "layer": "dense", "inputs": [], "shape": [4, 2], "file": "g.cpp", "line": 4,
       "attributes": {"name": "dense/kernel"}},
      {"id": 4, "op": "relu", "layer": "act", "inputs": [0], "shape": [null, 4], "file": "g.cpp", "line": 4,
       "attributes": {}},
      {"id": 5, "op": "relu", "layer": "act", "inputs": [4, 1], "shape": [], "file": "g.cpp", "line": 5,
       "attributes": {"units": 2}}]})";
  file.write_graph(model);
  const std::string record = read_file(file.path()).substr(before);
  const auto event = fields_of(std::string_view(record).substr(12, record.size() - 16));
  const auto graph = fields_of(all(event, 4).at(0));
  EXPECT_EQ(number_of(all(fields_of(all(graph, 4).at(0)), 1).at(0)), 22);
  std::string text;
  for (const std::string& node : all(graph, 1)) {
    const auto fields = fields_of(node);
    text += all(fields, 1).at(0) + ": " + all(fields, 2).at(0);
    for (const std::string& input : all(fields, 3)) text += " " + input;
    for (const std::string& attribute : all(fields, 5)) {
      const auto entry = fields_of(attribute), value = fields_of(all(entry, 2).at(0));
      text += ", " + all(entry, 1).at(0) + "=";
      if (!all(value, 2).empty()) text += all(value, 2)[0];
      for (const std::string& list : all(value, 1)) {
        for (const std::string& extent : all(fields_of(all(fields_of(list), 7).at(0)), 2)) {
          text += std::to_string(number_of(all(fields_of(extent), 1).at(0))) + ";";
        }
      }
    }
    text += "\n";
  }
  EXPECT_EQ(text,
            "image: input, _output_shapes=-1;4;, line=g.cpp:3, name=image\n"
            "dense/kernel: parameter, _output_shapes=4;2;, line=g.cpp:4, name=dense/kernel\n"
            "act/relu: relu image, _output_shapes=-1;4;, line=g.cpp:4\n"
            "act/relu_1: relu act/relu dense/kernel, _output_shapes=, line=g.cpp:5, units=2\n");
}

TEST(EventFile, AGraphThatDoesNotSayWhatItIsIsLeftOut) {
  TemporaryFolder folder;
  DiskFileSystem files;
  EventFile file(files, folder.path());
  const std::string before = read_file(file.path());
  kiln_model model = small_model();
  for (const char* structure : {static_cast<const char*>(nullptr), ""}) {
    model.structure = structure;
    file.write_graph(model);
  }
  EXPECT_EQ(read_file(file.path()), before);
}

}  // namespace
}  // namespace kiln
