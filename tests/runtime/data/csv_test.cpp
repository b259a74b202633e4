// Kaggle's CSV: what is read, what is refused and with which words, and that what is written is read back.
#include "data/csv.h"

#include <gtest/gtest.h>

#include <fstream>

#include "data/gzip.h"
#include "error.h"
#include "runtime/data/errors.h"
#include "runtime/fake_model.h"

namespace kiln {
namespace {

const std::vector<int64_t> kShape = {2, 2, 1};
constexpr int32_t kClasses = 10;
const std::string kHeader = "label,pixel0,pixel1,pixel2,pixel3\n";

Dataset parse(std::string_view text) { return parse_csv(text, "train.csv", kShape, kClasses); }

TEST(CsvTest, ReadsLabelsAndPixels) {
  const Dataset dataset = parse(kHeader + "7,0,1,254,255\n0,10,20,30,40\n");
  EXPECT_EQ(dataset.rows, 2);
  EXPECT_EQ(dataset.shape, kShape);
  EXPECT_EQ(dataset.labels, (std::vector<int32_t>{7, 0}));
  EXPECT_EQ(dataset.pixels, (std::vector<uint8_t>{0, 1, 254, 255, 10, 20, 30, 40}));
  EXPECT_EQ(dataset.origin, "train.csv");
}

TEST(CsvTest, TheHeaderSaysThatThereAreNoLabels) {
  const Dataset dataset = parse("pixel0,pixel1,pixel2,pixel3\n9,8,7,6\n");
  EXPECT_EQ(dataset.rows, 1);
  EXPECT_TRUE(dataset.labels.empty());
  EXPECT_EQ(dataset.pixels, (std::vector<uint8_t>{9, 8, 7, 6}));
}

TEST(CsvTest, LineEndsOfWindowsAndAMissingLastOneAreAccepted) {
  const std::vector<uint8_t> pixels = {0, 1, 254, 255, 10, 20, 30, 40};
  const std::string windows = "label,pixel0,pixel1,pixel2,pixel3\r\n7,0,1,254,255\r\n0,10,20,30,40";
  for (const char* end : {"", "\r", "\n", "\r\n"}) {
    EXPECT_EQ(parse(windows + end).pixels, pixels);
    EXPECT_EQ(parse(windows + end).labels, (std::vector<int32_t>{7, 0}));
  }
  EXPECT_EQ(parse(kHeader + "7,0,1,254,255\n0,10,20,30,40").pixels, pixels);
}

TEST(CsvTest, OneColumnIsEnough) {
  EXPECT_EQ(parse_csv("pixel0\n5\n6", "x.csv", {1, 1, 1}, 2).pixels, (std::vector<uint8_t>{5, 6}));
  EXPECT_EQ(parse_csv("label,pixel0\n1,5\n0,6", "x.csv", {1, 1, 1}, 2).labels, (std::vector<int32_t>{1, 0}));
}

struct Malformed {
  const char* what;
  std::string text;
  const char* message;
};

void PrintTo(const Malformed& row, std::ostream* out) { *out << row.what; }

class MalformedCsvTest : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedCsvTest, IsRefusedWithFileRowAndColumn) {
  EXPECT_EQ(data_error([] { parse(GetParam().text); }), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Csv, MalformedCsvTest,
    testing::Values(
        Malformed{"an empty file", "",
                  "train.csv: is empty, expected a header line 'label,pixel0,...' or 'pixel0,...'"},
        Malformed{"a header only", kHeader, "train.csv: has a header but no rows"},
        Malformed{"a header without a line end", "label,pixel0,pixel1,pixel2,pixel3",
                  "train.csv: has a header but no rows"},
        Malformed{"no header", "7,0,1,2,3\n",
                  "train.csv:1: expected a header line 'label,pixel0,...' or 'pixel0,...', found '7,0,1,2,3'"},
        Malformed{"another table", "Id,Price\n1,2\n",
                  "train.csv:1: expected a header line 'label,pixel0,...' or 'pixel0,...', found 'Id,Price'"},
        Malformed{"a picture", "\x89PNG\r\n\x1a\nIHDR",
                  "train.csv:1: expected a header line 'label,pixel0,...' or 'pixel0,...', found '?PNG'"},
        Malformed{"images of another size", "label,pixel0,pixel1\n1,2,3\n",
                  "train.csv:1: the header has 2 pixel columns, expected 4"},
        Malformed{"a word", kHeader + "7,0,1,2,3\n1,0,0,abc,0\n",
                  "train.csv:3: column 4 (pixel2): expected an integer 0..255, found 'abc'"},
        Malformed{"a word where there are no labels", "pixel0,pixel1,pixel2,pixel3\n0,x,0,0\n",
                  "train.csv:2: column 2 (pixel1): expected an integer 0..255, found 'x'"},
        Malformed{"an empty field", kHeader + "1,0,,0,0\n",
                  "train.csv:2: column 3 (pixel1): expected an integer 0..255, found ''"},
        Malformed{"an empty label", kHeader + ",0,0,0,0\n",
                  "train.csv:2: column 1 (label): expected an integer 0..9, found ''"},
        Malformed{"an empty last field", kHeader + "1,0,0,0,\n",
                  "train.csv:2: column 5 (pixel3): expected an integer 0..255, found ''"},
        Malformed{"a pixel above 255", kHeader + "1,0,0,0,256\n",
                  "train.csv:2: column 5 (pixel3): expected an integer 0..255, found '256'"},
        Malformed{"a pixel beyond 32 bits", kHeader + "1,4294967296,0,0,0\n",
                  "train.csv:2: column 2 (pixel0): expected an integer 0..255, found '4294967296'"},
        Malformed{"a negative pixel", kHeader + "1,-1,0,0,0\n",
                  "train.csv:2: column 2 (pixel0): expected an integer 0..255, found '-1'"},
        Malformed{"a fraction", kHeader + "1,0.5,0,0,0\n",
                  "train.csv:2: column 2 (pixel0): expected an integer 0..255, found '0.5'"},
        Malformed{"a space", kHeader + "1, 0,0,0,0\n",
                  "train.csv:2: column 2 (pixel0): expected an integer 0..255, found ' 0'"},
        Malformed{"quotes", kHeader + "\"1\",0,0,0,0\n",
                  "train.csv:2: column 1 (label): expected an integer 0..9, found '\"1\"'"},
        Malformed{"a label out of range", kHeader + "9,0,0,0,0\n10,0,0,0,0\n",
                  "train.csv:3: column 1 (label): expected an integer 0..9, found '10'"},
        Malformed{"a negative label", kHeader + "-1,0,0,0,0\n",
                  "train.csv:2: column 1 (label): expected an integer 0..9, found '-1'"},
        Malformed{"too few columns", kHeader + "1,0,0,0\n", "train.csv:2: has 4 columns, expected 5"},
        Malformed{"a file that is cut off", kHeader + "1,0,0,0,0\n2,0", "train.csv:3: has 2 columns, expected 5"},
        Malformed{"a label alone", kHeader + "1\n", "train.csv:2: has 1 column, expected 5"},
        Malformed{"too many columns", kHeader + "1,0,0,0,0,0\n", "train.csv:2: has 6 columns, expected 5"},
        Malformed{"too many columns, the further one no number", kHeader + "1,0,0,0,0,x\n",
                  "train.csv:2: has 6 columns, expected 5"},
        Malformed{"a line of the header's width after Windows' line ends",
                  "label,pixel0,pixel1,pixel2,pixel3\r\n1,0,0,0\r\n", "train.csv:2: has 4 columns, expected 5"},
        Malformed{"an empty line", kHeader + "1,0,0,0,0\n\n1,0,0,0,0\n", "train.csv:3: is empty, expected 5 columns"},
        Malformed{"control characters", kHeader + "1,\x1b[31m,0,0,0\n",
                  "train.csv:2: column 2 (pixel0): expected an integer 0..255, found '?[31m'"},
        Malformed{"a long field", kHeader + "1," + std::string(1000, 'a') + ",0,0,0\n",
                  "train.csv:2: column 2 (pixel0): expected an integer 0..255, found "
                  "'aaaaaaaaaaaaaaaaaaaaaaaa'"}));

// Every prefix and every changed byte of a good file gives a dataset or one line; never anything else. With the
// sanitizers this also shows that nothing is read beyond the text.
TEST(CsvTest, AnyDamageIsReadOrRefused) {
  const std::string good = kHeader + "7,0,1,254,255\r\n0,10,20,30,40\n";
  const auto attempt = [](const std::string& text) {
    try {
      const std::unique_ptr<char[]> exact(new char[text.size()]);  // no terminating zero: an overrun is seen
      std::copy(text.begin(), text.end(), exact.get());
      const Dataset dataset = parse({exact.get(), text.size()});
      EXPECT_EQ(dataset.pixels.size(), static_cast<size_t>(dataset.rows * 4));
      EXPECT_EQ(dataset.labels.size(), static_cast<size_t>(dataset.rows));
    } catch (const DataError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  };
  for (size_t i = 0; i < good.size(); ++i) {
    attempt(good.substr(0, i));
    for (const char c : {'\0', '\n', '\r', ',', '9', 'x', '\xff'}) {
      std::string damaged = good;
      damaged[i] = c;
      attempt(damaged);
    }
  }
}

class CsvFileTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& contents) {
    std::ofstream(folder_.file(name), std::ios::binary) << contents;
    return folder_.file(name);
  }

  TemporaryFolder folder_;
  DiskFileSystem files_;
};

TEST_F(CsvFileTest, WhatIsWrittenIsReadBack) {
  Dataset dataset;
  dataset.rows = 3;
  dataset.shape = kShape;
  dataset.pixels = {0, 9, 10, 99, 100, 199, 200, 255, 1, 2, 3, 4};
  dataset.labels = {9, 0, 5};
  for (const char* name : {"a.csv", "a.csv.gz"}) {
    for (const bool with_labels : {true, false}) {
      const std::string path = folder_.file(name);
      write_csv(files_, path, dataset, with_labels);
      EXPECT_EQ(is_gzip(read_file(path)), path.ends_with(".gz"));
      const Dataset again = load_dataset(path, kShape, kClasses);
      EXPECT_EQ(again.rows, 3);
      EXPECT_EQ(again.pixels, dataset.pixels);
      EXPECT_EQ(again.labels, with_labels ? dataset.labels : std::vector<int32_t>());
    }
  }
}

TEST_F(CsvFileTest, IsWrittenAsKaggleDoes) {
  Dataset dataset;
  dataset.rows = 2;
  dataset.shape = kShape;
  dataset.pixels = {0, 9, 10, 255, 1, 2, 3, 4};
  dataset.labels = {7, 0};
  write_csv(files_, folder_.file("a.csv"), dataset, true);
  EXPECT_EQ(read_file(folder_.file("a.csv")), kHeader + "7,0,9,10,255\n0,1,2,3,4\n");
  write_csv(files_, folder_.file("b.csv"), dataset, false);
  EXPECT_EQ(read_file(folder_.file("b.csv")), "pixel0,pixel1,pixel2,pixel3\n0,9,10,255\n1,2,3,4\n");
}

TEST_F(CsvFileTest, ASubmissionCountsFromOneAndIsReadAsLabels) {
  const std::vector<int32_t> labels = {9, 3, 1};
  write_submission(files_, folder_.file("submission.csv"), labels);
  EXPECT_EQ(read_file(folder_.file("submission.csv")), "ImageId,Label\n1,9\n2,3\n3,1\n");
  EXPECT_EQ(read_labels(folder_.file("submission.csv"), 10), labels);
  EXPECT_EQ(read_labels(write("windows.csv", "ImageId,Label\r\n1,9\r\n2,3\r\n3,1"), 10), labels);
  EXPECT_EQ(read_labels(write("labels.csv.gz", pack_gzip("ImageId,Label\n1,9\n2,3\n3,1\n")), 10), labels);
}

TEST_F(CsvFileTest, MalformedLabelFilesAreRefused) {
  const std::pair<const char*, const char*> table[] = {
      {"", ": is empty; expected the header 'ImageId,Label'"},
      {"Id,Label\n1,2\n", ":1: expected the header 'ImageId,Label', found 'Id,Label'"},
      {"ImageId,Label\n0,7\n", ":2: column 1 (ImageId): expected 1, found 0"},
      {"ImageId,Label\n1,7\n3,7\n", ":3: column 1 (ImageId): expected 2, found 3"},
      {"ImageId,Label\n1,7\n2\n", ":3: has 1 column, expected 2"},
      {"ImageId,Label\n1,7,7\n", ":2: has 3 columns, expected 2"},
      {"ImageId,Label\n1,seven\n", ":2: column 2 (Label): expected an integer 0..9, found 'seven'"},
      {"ImageId,Label\n1,10\n", ":2: column 2 (Label): expected an integer 0..9, found '10'"},
  };
  for (const auto& [text, message] : table) {
    const std::string path = write("labels.csv", text);
    EXPECT_EQ(data_error([&] { read_labels(path, 10); }), path + message);
  }
}

}  // namespace
}  // namespace kiln
