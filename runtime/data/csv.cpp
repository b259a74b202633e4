#include "data/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "data/gzip.h"
#include "error.h"

namespace kiln {
namespace {

/// What a message shows of a file's content: its beginning, without what a terminal would act on.
std::string excerpt(std::string_view text, size_t most) {
  std::string result(text.substr(0, most));
  for (char& c : result) {
    if (c < ' ' || c > '~') c = '?';
  }
  return result;
}

/// Walks over a CSV of integers. Written by hand because 77 MB of pixels must not be waited for; everything unusual
/// leaves the fast path and becomes a message.
class Reader {
 public:
  Reader(std::string_view text, const std::string& name) : at_(text.data()), end_(at_ + text.size()), name_(name) {}

  bool done() const { return at_ == end_; }
  int64_t line() const { return line_; }

  /// The rest of the line, without its end.
  std::string_view rest_of_line() {
    const char* begin = at_;
    at_ = line_end(begin);
    const char* last = at_ != begin && at_[-1] == '\r' ? at_ - 1 : at_;
    if (at_ != end_) ++at_;
    ++line_;
    row_ = at_;
    return {begin, static_cast<size_t>(last - begin)};
  }

  /// How many columns each of the following rows must have, and which of them is pixel0.
  void expect_columns(int64_t columns, int64_t first_pixel = 1) {
    columns_ = columns;
    first_pixel_ = first_pixel;
  }

  /// An integer 0..limit, followed by a comma, or by the line's end where it is the last.
  int32_t number(int32_t limit, int64_t column, std::string_view column_name) {
    const char* p = at_;
    uint32_t value = 0;
    while (p != end_ && static_cast<unsigned char>(*p - '0') < 10 && p - at_ < 9) {
      value = value * 10 + static_cast<uint32_t>(*p++ - '0');
    }
    const bool ended = p == end_ || *p == '\n' || (*p == '\r' && (p + 1 == end_ || p[1] == '\n'));
    if (p == at_ || value > static_cast<uint32_t>(limit) || (!ended && *p != ',')) complain(limit, column, column_name);
    if (ended != (column == columns_)) complain_of_columns();
    if (p != end_ && *p == '\r') ++p;
    if (p != end_) ++p;
    at_ = p;
    if (ended) {
      ++line_;
      row_ = at_;
    }
    return static_cast<int32_t>(value);
  }

  /// One row's pixels from `column` on.
  void pixels(uint8_t* out, int64_t count, int64_t column) {
    for (int64_t i = 0; i < count; ++i) {
      // Most pixels of a digit are background.
      if (i + 1 < count && end_ - at_ >= 2 && at_[0] == '0' && at_[1] == ',') {
        out[i] = 0;
        at_ += 2;
      } else {
        out[i] = static_cast<uint8_t>(number(255, column + i, "pixel"));
      }
    }
  }

 private:
  const char* line_end(const char* p) const {
    const void* found = p == end_ ? nullptr : std::memchr(p, '\n', static_cast<size_t>(end_ - p));
    return found == nullptr ? end_ : static_cast<const char*>(found);
  }
  [[noreturn]] void complain(int32_t limit, int64_t column, std::string_view column_name) const {
    const char* p = at_;
    while (p != end_ && *p != ',' && *p != '\n' && *p != '\r') ++p;
    if (p == row_ && (p == end_ || *p != ',')) {
      throw DataError(fmt::format("{}:{}: is empty, expected {} columns", name_, line_, columns_));
    }
    // Pixels are numbered from 0; a label may stand before them.
    const std::string title =
        column_name == "pixel" ? fmt::format("pixel{}", column - first_pixel_) : std::string(column_name);
    throw DataError(fmt::format("{}:{}: column {} ({}): expected an integer 0..{}, found '{}'", name_, line_, column,
                                title, limit, excerpt({at_, static_cast<size_t>(p - at_)}, 24)));
  }
  [[noreturn]] void complain_of_columns() const {
    const auto found = 1 + std::count(row_, line_end(row_), ',');
    throw DataError(
        fmt::format("{}:{}: has {} column{}, expected {}", name_, line_, found, found == 1 ? "" : "s", columns_));
  }

  const char* at_;
  const char* end_;
  const char* row_ = at_;  // where the line began
  const std::string& name_;
  int64_t columns_ = 0, first_pixel_ = 1, line_ = 1;
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
  if (text.empty()) throw DataError(name + ": is empty, expected a header line 'label,pixel0,...' or 'pixel0,...'");
  const bool labelled = header.substr(0, 6) == "label,";
  int64_t columns = 1;
  for (const char c : header) columns += c == ',';
  if (!labelled && header.substr(0, 5) != "pixel") {
    throw DataError(fmt::format("{}:1: expected a header line 'label,pixel0,...' or 'pixel0,...', found '{}'", name,
                                excerpt(header, 40)));
  }
  if (columns != elements + labelled) {
    throw DataError(
        fmt::format("{}:1: the header has {} pixel columns, expected {}", name, columns - labelled, elements));
  }
  reader.expect_columns(columns, 1 + labelled);
  // A row has at least two characters a column, so this never reserves more than the text's own size.
  const int64_t most_rows = static_cast<int64_t>(text.size()) / (2 * columns) + 1;
  dataset.pixels.reserve(static_cast<size_t>(std::min(most_rows * elements, static_cast<int64_t>(text.size()))));
  while (!reader.done()) {
    if (labelled) {
      const int32_t label = reader.number(classes > 0 ? classes - 1 : INT32_MAX, 1, "label");
      if (classes > 0) dataset.labels.push_back(label);
    }
    const size_t row = dataset.pixels.size();
    dataset.pixels.resize(row + static_cast<size_t>(elements));
    reader.pixels(dataset.pixels.data() + row, elements, 1 + labelled);
    ++dataset.rows;
  }
  if (dataset.rows == 0) throw DataError(name + ": has a header but no rows");
  return dataset;
}

std::vector<int32_t> read_labels(const std::string& path, int32_t classes) {
  const std::string text = read_unpacked(path);
  if (text.empty()) throw DataError(path + ": is empty; expected the header 'ImageId,Label'");
  Reader reader(text, path);
  const std::string_view header = reader.rest_of_line();
  if (header != "ImageId,Label")
    throw DataError(fmt::format("{}:1: expected the header 'ImageId,Label', found '{}'", path, excerpt(header, 40)));
  reader.expect_columns(2);
  std::vector<int32_t> labels;
  while (!reader.done()) {
    const int64_t line = reader.line();
    const int32_t id = reader.number(999'999'999, 1, "ImageId");
    if (id != static_cast<int32_t>(labels.size()) + 1) {
      throw DataError(
          fmt::format("{}:{}: column 1 (ImageId): expected {}, found {}", path, line, labels.size() + 1, id));
    }
    labels.push_back(reader.number(classes - 1, 2, "Label"));
  }
  if (labels.empty()) throw DataError(path + ": has a header but no rows");
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
