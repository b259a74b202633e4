#include "event_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>

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

}  // namespace
}  // namespace kiln
