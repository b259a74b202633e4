#include "data/csv.h"

#include <fmt/format.h>

#include <charconv>

#include "data/gzip.h"
#include "error.h"

namespace kiln {
namespace {

/// Walks over a CSV of integers. Written by hand because 77 MB of pixels must not be waited for; everything unusual
/// leaves the fast path and becomes a message.
class Reader {
 public:
  Reader(std::string_view text, const std::string& name) : at_(text.data()), end_(text.data() + text.size()), name_(name) {}

  bool done() const { return at_ == end_; }
  int64_t line() const { return line_; }

  /// The rest of the line, without its end.
  std::string_view rest_of_line() {
    const char* begin = at_;
    while (at_ != end_ && *at_ != '\n') ++at_;
    const char* last = at_ != begin && at_[-1] == '\r' ? at_ - 1 : at_;
    if (at_ != end_) ++at_;
    ++line_;
    return {begin, static_cast<size_t>(last - begin)};
  }

  /// An integer 0..limit, followed by a comma, or by the line's end where it is the last.
  int32_t number(int32_t limit, int64_t column, std::string_view column_name, bool last) {
    const char* p = at_;
    uint32_t value = 0;
    int digits = 0;
    while (p != end_ && static_cast<unsigned char>(*p - '0') < 10 && digits < 9) {
      value = value * 10 + static_cast<uint32_t>(*p++ - '0');
      ++digits;
    }
    const bool ended = p == end_ || *p == '\n' || (*p == '\r' && (p + 1 == end_ || p[1] == '\n'));
    if (digits == 0 || value > static_cast<uint32_t>(limit) || (!ended && *p != ',')) complain(limit, column, column_name);
    if (ended != last) fail(last ? "too many columns" : "too few columns");
    if (p != end_ && *p == '\r') ++p;
    if (p != end_) ++p;
    at_ = p;
    if (last) ++line_;
    return static_cast<int32_t>(value);
  }

  /// Which columns a row should have had.
  void expect_columns(std::string text, int64_t first_pixel = 1) {
    columns_ = std::move(text);
    first_pixel_ = first_pixel;
  }

 private:
  [[noreturn]] void complain(int32_t limit, int64_t column, std::string_view column_name) const {
    const char* p = at_;
    while (p != end_ && *p != ',' && *p != '\n' && *p != '\r' && p - at_ < 24) ++p;
    // Pixels are numbered from 0; a label may stand before them.
    const std::string title = column_name == "pixel" ? fmt::format("pixel{}", column - first_pixel_) : std::string(column_name);
    throw DataError(fmt::format("{}:{}: column {} ({}): expected an integer 0..{}, found '{}'", name_, line_, column, title, limit,
                                std::string_view(at_, static_cast<size_t>(p - at_))));
  }
  [[noreturn]] void fail(const char* what) const { throw DataError(fmt::format("{}:{}: {}, expected {}", name_, line_, what, columns_)); }

  const char* at_;
  const char* end_;
  const std::string& name_;
  std::string columns_;
  int64_t first_pixel_ = 1, line_ = 1;
};

void append_number(std::string& text, int64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value);
  text.append(digits, end.ptr);
}

}  // namespace

Dataset parse_csv(std::string_view text, const std::string& name, const std::vector<int64_t>& shape, int32_t classes) {
  Dataset dataset;
  dataset.shape = shape;
  dataset.origin = name;
  const int64_t elements = dataset.elements();
  Reader reader(text, name);
  const std::string_view header = reader.rest_of_line();
  if (header.empty()) throw DataError(name + ": is empty; expected a header line 'label,pixel0,...'");
  const bool labelled = header.substr(0, 6) == "label,";
  int64_t columns = 1;
  for (const char c : header) columns += c == ',';
  if (!labelled && header.substr(0, 5) != "pixel") {
    throw DataError(fmt::format("{}:1: expected a header line 'label,pixel0,...' or 'pixel0,...', found '{}'", name, header.substr(0, 40)));
  }
  if (columns != elements + labelled) {
    throw DataError(fmt::format("{}:1: the header has {} pixel columns, expected {}", name, columns - labelled, elements));
  }
  reader.expect_columns(fmt::format("{}", columns), 1 + labelled);
  // A row has at least two characters a column, so this never reserves more than the text's own size.
  const int64_t most_rows = static_cast<int64_t>(text.size()) / (2 * columns) + 1;
  dataset.pixels.reserve(static_cast<size_t>(std::min(most_rows * elements, static_cast<int64_t>(text.size()))));
  while (!reader.done()) {
    if (labelled) dataset.labels.push_back(reader.number(classes - 1, 1, "label", elements == 0));
    const size_t row = dataset.pixels.size();
    dataset.pixels.resize(row + static_cast<size_t>(elements));
    uint8_t* pixels = dataset.pixels.data() + row;
    for (int64_t i = 0; i < elements; ++i) {
      pixels[i] = static_cast<uint8_t>(reader.number(255, i + 1 + labelled, "pixel", i + 1 == elements));
    }
    ++dataset.rows;
  }
  if (dataset.rows == 0) throw DataError(name + ": has a header but no rows");
  return dataset;
}

std::vector<int32_t> read_labels(const std::string& path) {
  const std::string text = read_file(path);
  Reader reader(text, path);
  const std::string_view header = reader.rest_of_line();
  if (header != "ImageId,Label") throw DataError(fmt::format("{}:1: expected the header 'ImageId,Label', found '{}'", path, header.substr(0, 40)));
  reader.expect_columns("ImageId,Label");
  std::vector<int32_t> labels;
  while (!reader.done()) {
    const int64_t line = reader.line();
    const int32_t id = reader.number(999'999'999, 1, "ImageId", false);
    if (id != static_cast<int32_t>(labels.size()) + 1) {
      throw DataError(fmt::format("{}:{}: column 1 (ImageId): expected {}, found {}", path, line, labels.size() + 1, id));
    }
    labels.push_back(reader.number(999'999'999, 2, "Label", true));
  }
  return labels;
}

void write_csv(FileSystem& files, const std::string& path, const Dataset& dataset, bool with_labels) {
  const int64_t elements = dataset.elements();
  std::string text = with_labels ? "label" : "";
  for (int64_t i = 0; i < elements; ++i) text += fmt::format("{}pixel{}", text.empty() ? "" : ",", i);
  text += '\n';
  for (int64_t row = 0; row < dataset.rows; ++row) {
    if (with_labels) append_number(text, dataset.labels[static_cast<size_t>(row)]);
    for (int64_t i = 0; i < elements; ++i) {
      if (with_labels || i > 0) text += ',';
      append_number(text, dataset.pixels[static_cast<size_t>(row * elements + i)]);
    }
    text += '\n';
  }
  write_atomically(files, path, path.ends_with(".gz") ? pack_gzip(text) : text);
}

void write_submission(FileSystem& files, const std::string& path, std::span<const int32_t> labels) {
  std::string text = "ImageId,Label\n";
  for (size_t i = 0; i < labels.size(); ++i) text += fmt::format("{},{}\n", i + 1, labels[i]);
  write_atomically(files, path, text);
}

}  // namespace kiln
