#include "fuzz/targets.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "checkpoint.h"
#include "command.h"
#include "data/csv.h"
#include "data/dataset.h"
#include "data/gzip.h"
#include "data/idx.h"
#include "error.h"
#include "ir/error.h"
#include "runtime/fake_model.h"
#include "schedule/schedule_file.h"
#include "train_arguments.h"
#include "trainer.h"

namespace kiln::testing {
namespace {

const std::vector<int64_t> kShape = {4, 4, 1};
constexpr int32_t kClasses = 3;

void require(bool condition, const std::string& what) {
  if (!condition) throw std::logic_error(what);
}

/// As the programs report it: done, or one line and the exit code of a bad file or flag.
template <class Work>
void accept_or_refuse(Work work) {
  std::ostringstream out, err;
  const int code = run_command("fuzz", out, err, [&] {
    try {
      work();
    } catch (const UserError& error) {
      throw UsageError(error.what());
    }
    return 0;
  });
  const std::string text = err.str();
  require(code == 0 || code == static_cast<int>(ExitCode::usage) || code == static_cast<int>(ExitCode::data),
          fmt::format("exit code {}: {}", code, text));
  require(code == 0 ? text.empty() : text.size() > 14 && text.find('\n') == text.size() - 1,
          "an error is not one line");
}

/// The bytes as a file, which lies in memory.
template <class Work>
void with_file(std::string_view bytes, Work work) {
  const int file = ::memfd_create("fuzz", MFD_CLOEXEC);
  require(file >= 0 && ::write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()), "no file");
  try {
    work(fmt::format("/proc/self/fd/{}", file));
  } catch (...) {
    ::close(file);
    throw;
  }
  ::close(file);
}

void require_whole(const Dataset& dataset) {
  require(dataset.rows > 0 && dataset.pixels.size() == static_cast<size_t>(dataset.rows * 16), "rows and pixels");
  require(dataset.labels.empty() || dataset.labels.size() == static_cast<size_t>(dataset.rows), "rows and labels");
  for (const int32_t label : dataset.labels) require(label >= 0 && label < kClasses, "a label that is no class");
}

void csv(std::string_view bytes) {
  accept_or_refuse([&] { require_whole(parse_csv(bytes, "fuzz.csv", kShape, kClasses)); });
}

void gzip(std::string_view bytes) {
  accept_or_refuse([&] {
    const std::string text = unpack_gzip(bytes, "fuzz.csv.gz");
    require_whole(parse_csv(text, "fuzz.csv.gz", kShape, kClasses));
  });
}

void idx_images(std::string_view bytes) {
  accept_or_refuse([&] {
    const Dataset dataset = parse_idx_images(bytes, "fuzz", kShape);
    require(dataset.pixels.size() == static_cast<size_t>(dataset.rows * 16), "rows and pixels");
  });
}

void idx_labels(std::string_view bytes) {
  accept_or_refuse([&] {
    for (const int32_t label : parse_idx_labels(bytes, "fuzz", kClasses))
      require(label >= 0 && label < kClasses, "a label");
  });
}

void label_file(std::string_view bytes) {
  with_file(bytes, [](const std::string& path) { accept_or_refuse([&] { read_labels(path, kClasses); }); });
}

/// With the checksum that the bytes should have: the rest is looked at only where that is right.
std::string with_checksum(std::string bytes) {
  if (bytes.size() < 16) return bytes;
  const auto sum =
      static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()) + 16, bytes.size() - 16));
  std::memcpy(bytes.data() + 12, &sum, sizeof sum);
  return bytes;
}

void checkpoint(std::string_view bytes) {
  for (const std::string& file : {std::string(bytes), with_checksum(std::string(bytes))}) {
    with_file(file, [](const std::string& path) {
      accept_or_refuse([&] {
        const kiln_model& model = small_model();
        const Checkpoint loaded = load_checkpoint(path, model);
        require(loaded.weights.size() == model.weight_bytes, "weights");
        Trainer::saved_options(loaded, path);
      });
    });
  }
}

void schedule_file(std::string_view bytes) {
  accept_or_refuse([&] {
    for (const ScheduleRequest& request : parse_schedule_file(bytes, "fuzz.schedule"))
      require(!request.kernel.empty() && !request.knobs.empty(), "an empty request");
  });
}

void command_line(std::string_view bytes) {
  std::vector<std::string> arguments(1);
  for (const char c : bytes) {
    if (c == '\0' || c == ' ')
      arguments.emplace_back();
    else
      arguments.back() += c;
  }
  std::ostringstream out;
  accept_or_refuse([&] { parse_train_arguments(arguments, small_model(), out); });
}

std::string idx(uint8_t dimensions, const std::vector<uint32_t>& extents, const std::string& data) {
  std::string bytes = {0, 0, 8, static_cast<char>(dimensions)};
  for (const uint32_t extent : extents) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(extent >> shift & 255);
  }
  return bytes + data;
}

/// What `write` leaves in a file.
template <class Write>
std::string written(Write write) {
  const TemporaryFolder folder;
  DiskFileSystem files;
  write(files, folder.file("seed"));
  return read_file(folder.file("seed"));
}

std::vector<std::string> csv_seeds() {
  const auto rows = learnable_rows(small_model(), 3);
  return {written([&](FileSystem& files, const std::string& path) { write_csv(files, path, rows, true); }),
          written([&](FileSystem& files, const std::string& path) { write_csv(files, path, rows, false); })};
}

std::vector<std::string> gzip_seeds() {
  std::vector<std::string> seeds = csv_seeds();
  for (std::string& seed : seeds) seed = pack_gzip(seed);
  return seeds;
}

std::vector<std::string> checkpoint_seeds() {
  Checkpoint model, state;
  model.weights.resize(small_model().weight_bytes, 1);
  model.progress = {{"epoch", 1}};
  state = model;
  state.optimizer.resize(small_model().state_bytes - small_model().weight_bytes, 2);
  state.progress["options"] = TrainingOptions();
  Checkpoint deep = model;
  for (int i = 0; i < 100; ++i) deep.progress = {{"a", deep.progress}};
  std::vector<std::string> seeds;
  for (const Checkpoint& each : {model, state, deep}) {
    seeds.push_back(written(
        [&](FileSystem& files, const std::string& path) { save_checkpoint(files, path, small_model(), each); }));
  }
  return seeds;
}

}  // namespace

const std::vector<FuzzTarget>& fuzz_targets() {
  static const std::vector<FuzzTarget> targets = {
      {"csv", csv, csv_seeds},
      {"gzip", gzip, gzip_seeds},
      {"idx_images", idx_images,
       [] {
         return std::vector{idx(3, {2, 4, 4}, std::string(32, 'x'))};
       }},
      {"idx_labels", idx_labels, [] { return std::vector{idx(1, {3}, std::string("\0\1\2", 3))}; }},
      {"label_file", label_file, [] { return std::vector<std::string>{"ImageId,Label\n1,2\n2,0\n"}; }},
      {"checkpoint", checkpoint, checkpoint_seeds},
      {"schedule_file", schedule_file,
       [] {
         return std::vector<std::string>{
             "# tuned\nconv2d_1.forward: recipe=winograd outputs=4\n"
             "@622b9a369906: tile=4,vectors=2  # 1215 us\n"};
       }},
      {"command_line", command_line,
       [] {
         return std::vector<std::string>{"--train train.csv --epochs 3 --learning-rate 1e-3 --schedule one-cycle",
                                         "--resume last.kiln --threads 2 --profile=trace --quiet",
                                         "--augment rotation=10,shift=2 --average 0.9 --on-nan skip"};
       }},
  };
  return targets;
}

}  // namespace kiln::testing
