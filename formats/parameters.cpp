#include "parameters.h"

#include <fmt/format.h>

#include <cstring>

#include "error.h"

namespace kiln {

std::vector<Parameter> parameters(const KilnFile& file, const std::string& origin) {
  const Checkpoint& state = file.checkpoint;
  const uint64_t weight_bytes = state.weights.size(), optimizer_bytes = state.optimizer.size();
  std::vector<Parameter> result;
  try {
    for (const nlohmann::json& entry : file.header.at("parameters")) {
      Parameter p{entry.at("name").get<std::string>(), entry.at("shape").get<std::vector<int64_t>>()};
      p.offset = entry.at("offset").get<uint64_t>();
      uint64_t bytes = sizeof(float);
      for (const int64_t extent : p.shape) {
        if (extent < 1 || bytes > (1ULL << 40) / static_cast<uint64_t>(extent))
          throw DataError(fmt::format("{}: parameter '{}' has no possible shape", origin, p.name));
        bytes *= static_cast<uint64_t>(extent);
      }
      p.weight = p.offset < weight_bytes;
      if (!p.weight) {
        p.offset -= weight_bytes;
        if (optimizer_bytes == 0) continue;
      }
      const uint64_t region = p.weight ? weight_bytes : optimizer_bytes;
      if (p.offset > region || bytes > region - p.offset)
        throw DataError(fmt::format("{}: parameter '{}' lies beyond the file's state", origin, p.name));
      result.push_back(std::move(p));
    }
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format("{}: its header is not what it should be ({})", origin, error.what()));
  }
  return result;
}

std::map<std::string, Parameter> parameters_by_name(const KilnFile& file, const std::string& origin) {
  std::map<std::string, Parameter> result;
  for (Parameter& p : parameters(file, origin)) {
    const std::string name = p.name;
    result.emplace(name, std::move(p));
  }
  return result;
}

const Parameter& find_parameter(const std::map<std::string, Parameter>& all, const std::string& name,
                                const std::string& origin) {
  const auto found = all.find(name);
  if (found == all.end()) throw DataError(fmt::format("{}: has no parameter '{}'", origin, name));
  return found->second;
}

std::vector<float> read_parameter(const KilnFile& file, const Parameter& parameter) {
  const Checkpoint& state = file.checkpoint;
  const std::vector<uint8_t>& weights = state.average.size() == state.weights.size() ? state.average : state.weights;
  std::vector<float> values(static_cast<size_t>(element_count(parameter.shape)));
  std::memcpy(values.data(), (parameter.weight ? weights : state.optimizer).data() + parameter.offset,
              values.size() * sizeof(float));
  return values;
}

void write_parameter(KilnFile& file, const Parameter& parameter, const std::vector<float>& values) {
  if (static_cast<int64_t>(values.size()) != element_count(parameter.shape))
    throw std::logic_error("a parameter's values have another count");
  std::vector<uint8_t>& region = parameter.weight ? file.checkpoint.weights : file.checkpoint.optimizer;
  std::memcpy(region.data() + parameter.offset, values.data(), values.size() * sizeof(float));
}

Array transposed(const Array& array, const std::vector<size_t>& order) {
  const size_t rank = array.shape.size();
  if (order.size() != rank) throw std::logic_error("an order of another rank");
  std::vector<int64_t> strides(rank, 1);
  for (size_t d = rank; d-- > 1;) strides[d - 1] = strides[d] * array.shape[d];
  Array result;
  for (size_t d = 0; d < rank; ++d) result.shape.push_back(array.shape[order[d]]);
  result.values.reserve(array.values.size());
  std::vector<int64_t> index(rank, 0);
  for (size_t n = 0; n < array.values.size(); ++n) {
    int64_t from = 0;
    for (size_t d = 0; d < rank; ++d) from += index[d] * strides[order[d]];
    result.values.push_back(array.values[static_cast<size_t>(from)]);
    for (size_t d = rank; d-- > 0;) {
      if (++index[d] < result.shape[d]) break;
      index[d] = 0;
    }
  }
  return result;
}

std::vector<size_t> inverse(const std::vector<size_t>& order) {
  std::vector<size_t> result(order.size());
  for (size_t d = 0; d < order.size(); ++d) result[order[d]] = d;
  return result;
}

}  // namespace kiln
