#pragma once

#include <cstdint>
#include <string>

#include "file_system.h"
#include "metrics.h"
#include "program.h"

namespace kiln {

/// Creates "runs/digits-3": the first number from 1 for which there is no such folder yet. Runs that begin at the same
/// time get folders of their own. Throws Failure.
std::string create_next_run_folder(FileSystem& files, const std::string& parent, const std::string& name);

/// A folder that one run alone works in, as long as this object lives or until its process ends, however it ends.
class FolderLock {
 public:
  /// Throws UsageError where another run has it. Where the file system knows no locks there is no protection.
  explicit FolderLock(const std::string& path);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int folder_;
};

/// The folder of a training run:
///
///     arguments.json  what was asked for, and of which program
///     metrics.csv     a line an epoch
///     last.kiln       the whole state, to go on from
///     best.kiln       the model of the best epoch, by the monitored value
///     model.kiln      the model at the run's end
///     model.svg .dot, gradient.svg .dot   pictures, where the model has some
///     profile.json, trace.json   with --profile
///     submission.csv  where rows to predict were given
///     report.html     a page with all of it (report.h)
class RunFolder {
 public:
  /// Creates it, or clears it of what a killed run left half written; throws Failure.
  RunFolder(FileSystem& files, std::string path);

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

  void write(const std::string& name, const std::string& text);
  void write_pictures(const kiln_model& model);

  /// Keeps the lines of metrics.csv up to `epochs` done, for a run that goes on from there; a new one starts with none.
  void begin_metrics(int64_t epochs);
  std::string metrics() const;
  void append_metrics(int64_t epoch, double seconds, double rate, const MetricValues& values);

 private:
  FileSystem& files_;
  std::string path_;
};

}  // namespace kiln
