#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "predictor.h"
#include "profile.h"
#include "program.h"

namespace kiln {

/// Rows whose labels are known, and what the trained model says of them.
struct Evaluation {
  std::string name;  // "validation"
  const Dataset& dataset;
  int64_t first_row;                // of the data set, that these rows begin with
  std::span<const int32_t> labels;  // theirs
  const Predictions& predictions;
};

/// Rows and what a model without classes, whose output has the input's size, makes of them: an autoencoder's.
struct Reconstructions {
  std::string name;  // "validation"
  Dataset rows;
  Predictions predictions;
};

/// What a report tells of a run, besides the model itself.
struct RunResults {
  nlohmann::json run;      // what arguments.json has
  std::string outcome;     // "done", "interrupted"
  std::string finished;    // when, for people
  std::string metrics;     // metrics.csv
  std::string monitor;     // what says which epoch is best
  int64_t best_epoch = 0;  // 0: none
  int64_t kept_epoch = 0;  // the one that the weights are of
  double seconds = 0;
  std::string weights_checksum;
  std::vector<Evaluation> evaluations;  // none where the model does not tell classes apart
  std::optional<Reconstructions> reconstructions;
  std::optional<Profile> profile;
};

/// A page about the run that needs nothing but itself: curves, confusion matrices, the worst mistakes or
/// reconstructions, the first layer's filters (read from `weights`, the state block's leading part), the graph, the
/// profile and how it was run. Parts that do not apply are left out.
std::string report_html(const kiln_model& model, const uint8_t* weights, const RunResults& results);

}  // namespace kiln
