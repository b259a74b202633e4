#pragma once

#include <map>
#include <string>
#include <vector>

#include "array.h"

namespace kiln {

/// A group of an HDF5 file, as a value: what Keras's files consist of.
struct Hdf5Group {
  std::map<std::string, std::string> texts;               // attributes of one string
  std::map<std::string, std::vector<std::string>> names;  // attributes of many
  std::map<std::string, Array> arrays;
  std::map<std::string, Hdf5Group> groups;

  /// The group "a/b/c" below this one, made where it is not there.
  Hdf5Group& at_path(const std::string& path);
  /// The same, or null where it is not there.
  const Hdf5Group* find_group(const std::string& path) const;
  /// The data set "a/b/c" below this one, or null.
  const Array* find_array(const std::string& path) const;
};

/// The bytes of an HDF5 file. An attribute of names that is too large for an object's header is split as Keras does:
/// name0, name1, ... The same group gives the same bytes.
std::string write_hdf5(const Hdf5Group& root);

/// Reads a file's bytes; `origin` is its name in errors. Numbers of any type become f32. Throws DataError for what is
/// no such file, for data sets that claim more than the file holds, for links to elsewhere, and for filters, depths and
/// numbers of objects that no model has.
Hdf5Group read_hdf5(const std::string& bytes, const std::string& origin);

}  // namespace kiln
