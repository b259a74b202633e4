#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/compile_cache.h"
#include "random_graphs/written_graph.h"
#include "support/loaded_model.h"

namespace kiln::testing {

/// A graph's programs, compiled or interpreted, with their memory, which keeps what earlier calls left there.
class Programs {
 public:
  /// Compiles them, unless `interpret`: then each call interprets one kernel after the other on the memory that the
  /// plan gives them. The model must outlive this.
  Programs(const Model& model, bool interpret, const CompileCache& cache);
  ~Programs();

  const kiln_program& table(const std::string& name) const;

  /// Calls the program and returns what its results are instead of `wanted`.
  std::vector<std::vector<float>> run(const std::string& name, const CallData& data, const std::vector<Wanted>& wanted,
                                      uint64_t garbage_seed);

 private:
  class Table;
  const Model& model_;
  std::optional<LoadedModel> loaded_;
  std::map<std::string, Table> tables_;
  AlignedBytes state_;
  std::map<std::string, std::unique_ptr<AlignedBytes>> arenas_;
};

}  // namespace kiln::testing
