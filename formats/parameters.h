#pragma once

#include <map>
#include <string>

#include "array.h"
#include "checkpoint.h"

namespace kiln {

/// Where a parameter of a .kiln file lies: in its weights or in its optimizer's state.
struct Parameter {
  std::string name;
  std::vector<int64_t> shape;
  bool weight = true;   // else optimizer's state
  uint64_t offset = 0;  // bytes, in its region
};

/// A file's parameters in their order, checked against its regions; throws DataError. Those of the optimizer are left
/// out where the file has no state of it.
std::vector<Parameter> parameters(const KilnFile& file, const std::string& origin);

/// The same by name, and one of them; throws DataError where it is not there.
std::map<std::string, Parameter> parameters_by_name(const KilnFile& file, const std::string& origin);
const Parameter& find_parameter(const std::map<std::string, Parameter>& all, const std::string& name,
                                const std::string& origin);

/// The values in the file; the average's where it has one.
std::vector<float> read_parameter(const KilnFile& file, const Parameter& parameter);
void write_parameter(KilnFile& file, const Parameter& parameter, const std::vector<float>& values);

/// Elements in another order of dimensions: result dimension d is dimension order[d].
Array transposed(const Array& array, const std::vector<size_t>& order);

/// The order that undoes another.
std::vector<size_t> inverse(const std::vector<size_t>& order);

}  // namespace kiln
