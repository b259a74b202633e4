// The file of a model or state: what was saved comes back, everything else is refused, to the letter.
#include "checkpoint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <fstream>
#include <functional>

#include "error.h"
#include "fake_model.h"
#include "text_predicates.h"

namespace kiln {
namespace {

constexpr size_t kVersionAt = 8, kChecksumAt = 12, kLengthAt = 16, kHeaderAt = 24;

std::vector<uint8_t> counting_bytes(uint64_t size, uint8_t first) {
  std::vector<uint8_t> bytes(size);
  for (uint64_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(first + i);
  return bytes;
}

Checkpoint whole_state(const kiln_model& model) {
  Checkpoint checkpoint;
  checkpoint.weights = counting_bytes(model.weight_bytes, 1);
  checkpoint.optimizer = counting_bytes(model.state_bytes - model.weight_bytes, 2);
  checkpoint.average = counting_bytes(model.weight_bytes, 3);
  checkpoint.best = counting_bytes(model.weight_bytes, 4);
  checkpoint.progress = {{"epoch", 3}, {"sums", {0.1, 1e-30}}};
  return checkpoint;
}

template <class T>
T get(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <class T>
void put(std::string& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

// Makes a changed file's checksum right again, so that the change itself is what is found.
void sign(std::string& bytes) {
  put(bytes, kChecksumAt,
      static_cast<uint32_t>(
          crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()) + kLengthAt, bytes.size() - kLengthAt)));
}

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    save_checkpoint(files_, path_, model_, whole_state(model_));
    whole_ = read_file(path_);
  }

  void write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }

  std::string message() {
    try {
      load_checkpoint(path_, model_);
    } catch (const DataError& error) {
      const std::string text = error.what();
      return text.substr(0, path_.size() + 2) == path_ + ": " ? text.substr(path_.size() + 2) : text;
    }
    return "no error";
  }

  std::string message_after(const std::function<void(std::string&)>& change) {
    std::string bytes = whole_;
    change(bytes);
    write(bytes);
    return message();
  }

  // Replaces text of the header by text of the same length.
  std::string message_after_header(const std::string& from, const std::string& to) {
    return message_after([&](std::string& bytes) {
      const size_t at = bytes.find(from);
      ASSERT_NE(at, std::string::npos) << from;
      ASSERT_EQ(from.size(), to.size());
      bytes.replace(at, from.size(), to);
      sign(bytes);
    });
  }

  // Replaces the progress in the header.
  std::string message_after_progress(const std::string& progress) {
    const auto length = get<uint64_t>(whole_, kLengthAt);
    std::string header = whole_.substr(kHeaderAt, length);
    const std::string before = whole_state(model_).progress.dump();
    const size_t at = header.find(before);
    if (at == std::string::npos) return "no " + before;
    header.replace(at, before.size(), progress);
    return message_after([&](std::string& bytes) {
      const std::string regions = bytes.substr((kHeaderAt + length + 63) / 64 * 64);
      bytes.resize(kHeaderAt);
      put<uint64_t>(bytes, kLengthAt, header.size());
      bytes += header;
      bytes.resize((bytes.size() + 63) / 64 * 64);
      bytes += regions;
      sign(bytes);
    });
  }

  TemporaryFolder folder_;
  DiskFileSystem files_;
  const kiln_model& model_ = small_model();
  std::string path_ = folder_.file("a.kiln");
  std::string whole_;  // the file that whole_state() gives
};

TEST_F(CheckpointTest, ComesBackAsItWas) {
  const Checkpoint saved = whole_state(model_), loaded = load_checkpoint(path_, model_);
  EXPECT_EQ(loaded.weights, saved.weights);
  EXPECT_EQ(loaded.optimizer, saved.optimizer);
  EXPECT_EQ(loaded.average, saved.average);
  EXPECT_EQ(loaded.best, saved.best);
  EXPECT_EQ(loaded.progress, saved.progress);
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"a.kiln"});
}

TEST_F(CheckpointTest, AModelIsWeightsAlone) {
  Checkpoint saved;
  saved.weights = whole_state(model_).weights;
  save_checkpoint(files_, path_, model_, saved);
  const Checkpoint loaded = load_checkpoint(path_, model_);
  EXPECT_EQ(loaded.weights, saved.weights);
  EXPECT_TRUE(loaded.optimizer.empty());
  EXPECT_TRUE(loaded.average.empty());
  EXPECT_TRUE(loaded.best.empty());
}

TEST_F(CheckpointTest, RegionsAreAlignedAndTheHeaderIsReadable) {
  const std::string& bytes = whole_;
  EXPECT_EQ(bytes.substr(0, 8), "KILNFILE");
  EXPECT_EQ(bytes.size() % 64, 0u);
  const auto length = get<uint64_t>(bytes, kLengthAt);
  const nlohmann::json header = nlohmann::json::parse(bytes.substr(kHeaderAt, length));
  EXPECT_EQ(header["graph"], "small");
  EXPECT_EQ(header["parameters"][0]["name"], "kernel");
  EXPECT_EQ(header["parameters"][0]["shape"], (std::vector<int64_t>{16, 3}));
  const size_t weights = (kHeaderAt + length + 63) / 64 * 64;
  EXPECT_EQ(bytes.substr(weights, 4), "\x01\x02\x03\x04");
}

TEST_F(CheckpointTest, AFileThatIsNoneIsRefused) {
  for (const std::string text : {"", "KILN", "PK\x03\x04 something else of more than 24 bytes"}) {
    write(text);
    EXPECT_EQ(message(), "is no Kiln file: it does not begin with KILNFILE");
  }
  path_ = folder_.file("none.kiln");
  EXPECT_EQ(message(), "cannot be read: No such file or directory");
  path_ = folder_.path();
  EXPECT_EQ(message(), "cannot be read: Is a directory");
}

TEST_F(CheckpointTest, SaysWhatWasExpectedAndFound) {
  EXPECT_EQ(message_after([](std::string& bytes) { put<uint32_t>(bytes, kVersionAt, 7); }),
            "has version 7, this program reads version 1");
  EXPECT_EQ(message_after([](std::string& bytes) { put<uint64_t>(bytes, kLengthAt, uint64_t{1} << 60); }),
            "its header of 1152921504606846976 bytes does not fit into 1728 bytes; the file is damaged");
  EXPECT_EQ(message_after([](std::string& bytes) { put<uint64_t>(bytes, kLengthAt, 5000); }),
            "its header of 5000 bytes does not fit into 1728 bytes; the file is damaged");
  const uint32_t sum = get<uint32_t>(whole_, kChecksumAt);
  EXPECT_EQ(message_after([](std::string& bytes) { put<uint32_t>(bytes, kChecksumAt, 0x12345678); }),
            fmt::format("checksum is {:08x}, expected 12345678; the file is damaged or was cut off", sum));
  EXPECT_EQ(message_after_header("\"graph\":\"small\"", "\"graph\":\"large\""),
            "belongs to the graph 'large', this program is 'small'");
  EXPECT_EQ(message_after_header("00000000000000aa", "00000000000000ab"),
            "was made by another version of the graph 'small' (fingerprint 00000000000000ab, this program has "
            "00000000000000aa); train again");
  EXPECT_EQ(message_after_header("\"weights\":320", "\"weights\":256"), "its weights have 256 bytes, expected 320");
  EXPECT_EQ(message_after_header("\"optimizer\":256", "\"optimizer\":255"),
            "its optimizer have 255 bytes, expected 256");
}

TEST_F(CheckpointTest, EndsWhereItsHeaderSays) {
  EXPECT_EQ(message_after([](std::string& bytes) {
              bytes.append(64, '\0');
              sign(bytes);
            }),
            "has 1792 bytes, expected 1728");
  EXPECT_EQ(message_after([](std::string& bytes) {
              bytes.resize(bytes.size() - 64);
              sign(bytes);
            }),
            "has 1664 bytes, too few for its best");
}

// Damage anywhere is found; nothing crashes.
TEST_F(CheckpointTest, FlippedBitsAreFound) {
  for (size_t at = 0; at < whole_.size(); at += at < 64 ? 1 : 7) {
    const std::string text = message_after([&](std::string& bytes) { bytes[at] = static_cast<char>(bytes[at] ^ 4); });
    EXPECT_NE(text, "no error") << "byte " << at;
  }
}

TEST_F(CheckpointTest, CutOffFilesAreFound) {
  for (size_t size = 0; size < whole_.size(); size += size < 200 ? 1 : 61) {
    EXPECT_NE(message_after([&](std::string& bytes) { bytes.resize(size); }), "no error") << size << " bytes";
  }
  EXPECT_NE(message_after([&](std::string& bytes) { bytes += "more"; }), "no error");
}

TEST_F(CheckpointTest, AHeaderOfOtherTypesIsRefused) {
  EXPECT_EQ(message_after_header("\"graph\":\"small\"", "\"graph\":[1,2,3]").substr(0, 34),
            "its header is not what it should b");
  EXPECT_EQ(message_after_header("\"weights\":320", "\"weights\":-20").substr(0, 34),
            "its weights have 18446744073709551");
  EXPECT_EQ(message_after_header("{", "[").substr(0, 34), "its header is not what it should b");
}

TEST_F(CheckpointTest, ProgressOfAnotherTypeIsRefused) {
  EXPECT_EQ(message_after_progress("{}"), "no error");
  EXPECT_EQ(message_after_progress("[1, 2]"), "its header's progress is of type array, expected object");
  EXPECT_EQ(message_after_progress("null"), "its header's progress is of type null, expected object");
}

TEST_F(CheckpointTest, ADeepHeaderIsRefused) {
  const auto deep = [](size_t depth) { return R"({"a":)" + std::string(depth, '[') + std::string(depth, ']') + "}"; };
  EXPECT_EQ(message_after_progress(deep(50)), "no error");
  const std::string refusal = "its header is nested more than 64 deep; no program of Kiln's wrote it";
  EXPECT_EQ(message_after_progress(deep(70)), refusal);
  EXPECT_EQ(message_after_progress(deep(400'000)), refusal);  // a copy of it would overflow the stack
  EXPECT_EQ(message_after_progress(R"({"a":)" + std::string(400'000, '[')), refusal);
}

TEST(WholeNumbers, AreRequiredWhereThePatternHasThem) {
  const nlohmann::json pattern = {{"epochs", 1}, {"rate", 0.1}, {"augment", {{"seed", 2}}}};
  EXPECT_NO_THROW(require_whole_numbers({{"epochs", 7}, {"rate", 1e60}, {"augment", {{"seed", -3}}}}, pattern));
  EXPECT_NO_THROW(require_whole_numbers(nlohmann::json::object(), pattern));
  for (const nlohmann::json& wrong : {nlohmann::json{{"epochs", 1e60}}, nlohmann::json{{"epochs", "one"}},
                                      nlohmann::json{{"augment", {{"seed", 0.5}}}}})
    EXPECT_THROW(require_whole_numbers(wrong, pattern), nlohmann::json::exception) << wrong;
}

TEST_F(CheckpointTest, ARegionSizeThatIsNoWholeNumberIsRefused) {
  std::string bytes = whole_;
  const size_t at = bytes.find("\"weights\":") + 10;
  ASSERT_LT(at, bytes.size());
  bytes.replace(at, 3, "1e9");
  sign(bytes);
  write(bytes);
  EXPECT_NE(message().find("should be a whole number"), std::string::npos) << message();
}

TEST_F(CheckpointTest, AWriteThatFailsLeavesTheOldFile) {
  int failures = 0;
  for (int at = 1;; ++at) {
    FailingFileSystem failing(at);
    Checkpoint other = whole_state(model_);
    other.weights[0] = 99;
    try {
      save_checkpoint(failing, path_, model_, other);
      EXPECT_FALSE(failing.failed());
      break;
    } catch (const Failure& failure) {
      EXPECT_NE(std::string(failure.what()).find("No space left on device"), std::string::npos) << failure.what();
      ++failures;
    }
    EXPECT_EQ(read_file(path_), whole_);
    EXPECT_EQ(folder_.names(), std::vector<std::string>{"a.kiln"});  // no temporary file either
  }
  EXPECT_GE(failures, 3);
  EXPECT_EQ(load_checkpoint(path_, model_).weights[0], 99);
}

TEST_F(CheckpointTest, AHeaderThatIsTooLongLosesTheStructureFirst) {
  const TemporaryFolder folder;
  DiskFileSystem files;
  kiln_model model = small_model();
  const std::string path = folder.file("x.kiln");
  Checkpoint checkpoint;
  checkpoint.weights.resize(model.weight_bytes);
  model.structure = R"({"nodes": []})";
  save_checkpoint(files, path, model, checkpoint);
  EXPECT_TRUE(parse_kiln_file(read_file(path), path).header.contains("structure"));
  const std::string huge = "[\"" + std::string(1 << 20, 'x') + "\"]";
  model.structure = huge.c_str();
  save_checkpoint(files, path, model, checkpoint);
  EXPECT_FALSE(parse_kiln_file(read_file(path), path).header.contains("structure"));
  load_checkpoint(path, model);
  const std::string before = read_file(path);
  checkpoint.progress = {{"note", std::string(1 << 20, 'x')}};
  try {
    save_checkpoint(files, path, model, checkpoint);
    FAIL() << "no error";
  } catch (const Failure& error) {
    EXPECT_PRED2(matches, error.what(), path + ": the header would have [0-9]+ bytes, more than [0-9]+");
  }
  EXPECT_EQ(read_file(path), before);
  EXPECT_THROW(checkpoint_bytes(model, checkpoint), Failure);
  checkpoint.progress = nullptr;
  EXPECT_EQ(checkpoint_bytes(model, checkpoint), [&] {
    save_checkpoint(files, path, model, checkpoint);
    return read_file(path);
  }());
}

}  // namespace
}  // namespace kiln
