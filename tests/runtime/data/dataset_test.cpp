// A data file tells its format by its content: CSV or IDX, plain or gzipped; each kind of damage has its words.
#include "data/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "data/gzip.h"
#include "error.h"
#include "file_system.h"
#include "runtime/data/errors.h"
#include "runtime/fake_model.h"

namespace kiln {
namespace {

const std::vector<int64_t> kShape = {2, 2, 1};
constexpr int32_t kClasses = 10;
const std::string kCsv = "label,pixel0,pixel1,pixel2,pixel3\n7,0,1,254,255\n0,10,20,30,40\n";
const std::vector<uint8_t> kPixels = {0, 1, 254, 255, 10, 20, 30, 40};
const std::vector<int32_t> kLabels = {7, 0};

/// An IDX file: type and rank, extents as big-endian u32, data.
std::string idx(const std::vector<uint32_t>& extents, const std::vector<uint8_t>& data, char type = 8) {
  std::string bytes = {0, 0, type, static_cast<char>(extents.size())};
  for (const uint32_t extent : extents) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(extent >> shift);
  }
  return bytes.append(data.begin(), data.end());
}
std::string images() { return idx({2, 2, 2}, kPixels); }
std::string labels() { return idx({2}, {7, 0}); }

class DatasetTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& contents) const {
    std::ofstream(folder_.file(name), std::ios::binary) << contents;
    return folder_.file(name);
  }
  /// The message for a file of these contents, which must begin with the file's name; what follows it.
  std::string refusal(const std::string& contents) const {
    const std::string path = write("data", contents);
    const std::string message = data_error([&] { load_dataset(path, kShape, kClasses); });
    EXPECT_EQ(message.substr(0, path.size()), path) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message.substr(std::min(path.size(), message.size()));
  }
  static void expect_rows(const Dataset& dataset, bool labelled = true) {
    EXPECT_EQ(dataset.rows, 2);
    EXPECT_EQ(dataset.shape, kShape);
    EXPECT_EQ(dataset.pixels, kPixels);
    EXPECT_EQ(dataset.labels, labelled ? kLabels : std::vector<int32_t>());
  }

  TemporaryFolder folder_;
};

TEST_F(DatasetTest, ContentTellsTheFormat) {
  const std::string labels_path = write("labels", labels()),
                    packed_labels_path = write("packed_labels", pack_gzip(labels()));
  expect_rows(load_dataset(write("a", kCsv), kShape, kClasses));
  expect_rows(load_dataset(write("b.csv", pack_gzip(kCsv)), kShape, kClasses));  // whatever it is called
  expect_rows(load_dataset(write("c", images()), kShape, kClasses, labels_path));
  expect_rows(load_dataset(write("d", pack_gzip(images())), kShape, kClasses, packed_labels_path));
  expect_rows(load_dataset(write("e", images()), kShape, kClasses), false);
}

TEST_F(DatasetTest, LabelsOfIdxAreFoundByName) {
  write("train-labels-idx1-ubyte", labels());
  expect_rows(load_dataset(write("train-images-idx3-ubyte", images()), kShape, kClasses));
  write("t10k-labels-idx1-ubyte.gz", pack_gzip(labels()));
  expect_rows(load_dataset(write("t10k-images-idx3-ubyte.gz", pack_gzip(images())), kShape, kClasses));
  expect_rows(load_dataset(write("other-images-idx3-ubyte", images()), kShape, kClasses), false);
  // A name that is given goes before the one beside it.
  const std::string other = write("other", idx({2}, {1, 2}));
  EXPECT_EQ(load_dataset(folder_.file("train-images-idx3-ubyte"), kShape, kClasses, other).labels,
            (std::vector<int32_t>{1, 2}));
}

TEST_F(DatasetTest, ALabelFileBesideACsvIsRefused) {
  const std::string csv = write("train.csv", kCsv);
  EXPECT_EQ(data_error([&] { load_dataset(csv, kShape, kClasses, "labels"); }),
            csv + ": is no IDX file, so that no label file (labels) goes with it");
}

TEST_F(DatasetTest, UnreadableFilesAreRefused) {
  const std::string missing = folder_.file("missing.csv");
  EXPECT_EQ(data_error([&] { load_dataset(missing, kShape, kClasses); }),
            missing + ": cannot be read: No such file or directory");
  EXPECT_EQ(data_error([&] { load_dataset(folder_.path(), kShape, kClasses); }),
            folder_.path() + ": cannot be read: Is a directory");
  const std::string data = write("images", images());
  EXPECT_EQ(data_error([&] { load_dataset(data, kShape, kClasses, missing); }),
            missing + ": cannot be read: No such file or directory");
  EXPECT_EQ(refusal(""), ": is empty, expected a header line 'label,pixel0,...' or 'pixel0,...'");
}

TEST_F(DatasetTest, ErrorsInsideOfGzipNameRowAndColumn) {
  EXPECT_EQ(refusal(pack_gzip("pixel0,pixel1,pixel2,pixel3\n0,0,0,0\n0,0,-,0\n")),
            ":3: column 3 (pixel2): expected an integer 0..255, found '-'");
}

TEST_F(DatasetTest, GzipMayHaveSeveralMembers) {
  // As `cat a.gz b.gz` makes them.
  const size_t half = kCsv.size() / 2;
  expect_rows(
      load_dataset(write("two.gz", pack_gzip(kCsv.substr(0, half)) + pack_gzip(kCsv.substr(half))), kShape, kClasses));
}

TEST(Gzip, MembersOfAllSizesAreJoined) {
  std::string text, packed;
  for (size_t i = 0; i < 300; ++i) {
    std::string member(i % 50 == 0 ? 300'000 : i % 7 * 1000, '\0');  // each larger than the room that is left, or not
    for (size_t at = 0; at < member.size(); ++at) member[at] = static_cast<char>((at * (i + 1)) >> 4);
    text += member;
    packed += pack_gzip(member);
  }
  EXPECT_TRUE(unpack_gzip(packed, "x") == text);
}

TEST(Gzip, ManyMembersShareTheirRoom) {
  std::string text, packed;
  for (int i = 0; i < 150'000; ++i) {
    const std::string member(i % 100 == 0 ? 1 : 0, static_cast<char>(i / 100));
    text += member;
    packed += pack_gzip(member);
  }
  // The last four bytes ask for 4 GiB. Room that were made anew for each member would take most of a minute.
  const std::string asks = "\x1f\x8b\xff\xff\xff\xff";
  EXPECT_EQ(data_error([&] { unpack_gzip(packed + asks, "x"); }), "x: is damaged or cut off: gzip cannot unpack it");
  EXPECT_TRUE(unpack_gzip(packed, "x") == text);
}

TEST_F(DatasetTest, DamagedGzipIsRefused) {
  const std::string good = pack_gzip(kCsv);
  const std::string damaged = ": is damaged or cut off: gzip cannot unpack it";
  for (size_t size = 2; size < good.size(); ++size) EXPECT_EQ(refusal(good.substr(0, size)), damaged) << size;
  std::string changed = good;
  changed[good.size() - 6] ^= 1;  // the checksum
  EXPECT_EQ(refusal(changed), damaged);
  changed = good;
  changed[good.size() - 1] ^= 1;  // the size, now 16 MiB more
  EXPECT_EQ(refusal(changed), damaged);
  EXPECT_EQ(refusal(good + "x"), ": is damaged: no gzip data where some should follow");
}

TEST_F(DatasetTest, AGzipBombIsRefused) {
  const std::string bomb = pack_gzip(std::string(200 << 20, '\0'));
  ASSERT_LT(bomb.size(), size_t{1} << 20);
  EXPECT_EQ(refusal(bomb), ": would grow to more than " + std::to_string(bomb.size() * 100 + (64 << 20)) +
                               " bytes when unpacked; that is no data file");
}

TEST_F(DatasetTest, BlankImagesAreNoBomb) {
  // 100,000 rows of zeros pack 500:1, and are data all the same.
  std::string csv = "pixel0,pixel1,pixel2,pixel3\n";
  for (int i = 0; i < 100'000; ++i) csv += "0,0,0,0\n";
  const std::string packed = pack_gzip(csv);
  ASSERT_GT(csv.size(), 200 * packed.size());
  EXPECT_EQ(load_dataset(write("blank.csv.gz", packed), kShape, kClasses).rows, 100'000);
}

TEST_F(DatasetTest, MalformedIdxImagesAreRefused) {
  EXPECT_EQ(refusal(labels()),
            ": expected an IDX file's first bytes 00 00 08 03 (bytes of 3 dimensions), found 00 00 08 01");
  EXPECT_EQ(refusal(idx({2, 2, 2}, kPixels, 13)),
            ": expected an IDX file's first bytes 00 00 08 03 (bytes of 3 dimensions), found 00 00 0d 03");
  EXPECT_EQ(refusal(images().substr(0, 10)), ": is cut off: 10 bytes, an IDX header has 16");
  EXPECT_EQ(refusal(images().substr(0, 23)), ": its header says 2x2x2 bytes of data, found 7");
  EXPECT_EQ(refusal(images() + "x"), ": its header says 2x2x2 bytes of data, found 9");
  EXPECT_EQ(refusal(idx({2, 1, 4}, kPixels)), ": images are 1x4, expected 2x2x1");
  EXPECT_EQ(refusal(idx({0, 2, 2}, {})), ": has no images");
  // Extents whose product is the size of the data modulo 2^32 and modulo 2^64.
  EXPECT_EQ(refusal(idx({0x40000001, 2, 2}, {1, 2, 3, 4})), ": its header says 1073741825x2x2 bytes of data, found 4");
  EXPECT_EQ(refusal(idx({0x80000000, 0x80000000, 4}, {})),
            ": its header says 2147483648x2147483648x4 bytes of data, found 0");
  // Extents whose product is no 64-bit number, or nothing at all.
  EXPECT_EQ(refusal(idx({0x80000001, 0x80000000, 0}, kPixels)),
            ": its header says 2147483649x2147483648x0 bytes of data, found 8");
  EXPECT_EQ(refusal(idx({0xffffffff, 0xffffffff, 0xffffffff}, kPixels)),
            ": its header says 4294967295x4294967295x4294967295 bytes of data, found 8");
}

TEST_F(DatasetTest, MalformedIdxLabelsAreRefused) {
  const std::string data = write("images", images());
  const auto refusal_of_labels = [&](const std::string& contents) {
    const std::string path = write("labels", contents);
    const std::string message = data_error([&] { load_dataset(data, kShape, kClasses, path); });
    EXPECT_EQ(message.substr(0, path.size()), path) << message;
    return message.substr(std::min(path.size(), message.size()));
  };
  EXPECT_EQ(refusal_of_labels(idx({3}, {1, 2, 3})), ": has 3 labels, " + data + " has 2 images");
  EXPECT_EQ(refusal_of_labels(idx({2}, {1, 10})), ": label 1: expected 0..9, found 10");
  EXPECT_EQ(refusal_of_labels(idx({2}, {1})), ": its header says 2 bytes of data, found 1");
  EXPECT_EQ(refusal_of_labels(images()),
            ": expected an IDX file's first bytes 00 00 08 01 (bytes of 1 dimension), found 00 00 08 03");
  EXPECT_EQ(refusal_of_labels("ImageId,Label\n1,7\n2,0\n"),
            ": expected an IDX file's first bytes 00 00 08 01 (bytes of 1 dimension), found 49 6d 61 67");
}

}  // namespace
}  // namespace kiln
