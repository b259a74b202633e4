#include "hdf5_group.h"

#include <fmt/format.h>
#include <hdf5.h>

#include <cstring>
#include <functional>

#include "error.h"

namespace kiln {
namespace {

// Of files in memory: one that cannot be on disk, where the library would look for it all the same.
constexpr const char* kNoFile = "/dev/null/in_memory.h5";
constexpr int kDepthLimit = 16;
constexpr size_t kObjectLimit = 100'000;
constexpr size_t kHeaderLimit = 64'512;  // HDF5_OBJECT_HEADER_LIMIT of Keras

/// Closes an HDF5 identifier at the end of its scope.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }
  bool ok() const { return id_ >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

std::vector<std::string> parts(const std::string& path) {
  std::vector<std::string> result;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin) result.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

void check(bool ok, const std::string& what) {
  if (!ok) throw Failure("HDF5 could not write " + what);
}

// --- writing ---

void write_text(hid_t object, const std::string& name, const std::string& value) {
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, H5T_VARIABLE);  // in the file's heap: an object's header takes no more than 64 KiB
  H5Tset_cset(type, H5T_CSET_UTF8);
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const char* text = value.c_str();
  check(attribute.ok() && H5Awrite(attribute, type, static_cast<const void*>(&text)) >= 0, name);
}

void write_names(hid_t object, const std::string& name, const std::vector<std::string>& values) {
  size_t width = 1;
  for (const std::string& value : values) width = std::max(width, value.size());
  const size_t at_once = std::max<size_t>(1, kHeaderLimit / width), pieces = (values.size() + at_once - 1) / at_once;
  for (size_t piece = 0; piece < std::max<size_t>(1, pieces); ++piece) {
    const size_t begin = piece * at_once, count = std::min(at_once, values.size() - begin);
    std::string padded(count * width, '\0');
    for (size_t i = 0; i < count; ++i) values[begin + i].copy(padded.data() + i * width, width);
    const Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(type, width);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    const hsize_t extent = count;
    const Handle space(H5Screate_simple(1, &extent, nullptr), H5Sclose);
    const std::string full = pieces > 1 ? name + std::to_string(piece) : name;
    const Handle attribute(H5Acreate2(object, full.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    check(attribute.ok() && (count == 0 || H5Awrite(attribute, type, padded.data()) >= 0), full);
  }
}

void write_array(hid_t group, const std::string& name, const Array& array) {
  const std::vector<hsize_t> extents(array.shape.begin(), array.shape.end());
  const Handle space(extents.empty() ? H5Screate(H5S_SCALAR)
                                     : H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr),
                     H5Sclose);
  const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(properties, false);  // the same model, the same bytes
  const hid_t type = array.integer ? H5T_STD_I32LE : H5T_IEEE_F32LE;
  const Handle data(H5Dcreate2(group, name.c_str(), type, space, H5P_DEFAULT, properties, H5P_DEFAULT), H5Dclose);
  check(data.ok() && H5Dwrite(data, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data()) >= 0, name);
}

void write_group(hid_t object, const Hdf5Group& group) {
  for (const auto& [name, value] : group.texts) write_text(object, name, value);
  for (const auto& [name, values] : group.names) write_names(object, name, values);
  for (const auto& [name, array] : group.arrays) write_array(object, name, array);
  for (const auto& [name, inner] : group.groups) {
    const Handle properties(H5Pcreate(H5P_GROUP_CREATE), H5Pclose);
    H5Pset_obj_track_times(properties, false);
    const Handle child(H5Gcreate2(object, name.c_str(), H5P_DEFAULT, properties, H5P_DEFAULT), H5Gclose);
    check(child.ok(), name);
    write_group(child, inner);
  }
}

// --- reading ---

class Reader {
 public:
  Reader(uint64_t bytes, std::string origin) : budget_(2 * bytes + (1 << 16)), origin_(std::move(origin)) {}

  Hdf5Group read(hid_t object, int depth) {
    if (depth > kDepthLimit) refuse("groups lie deeper than in any model");
    Hdf5Group group;
    read_attributes(object, group);
    H5G_info_t info;
    if (H5Gget_info(object, &info) < 0) refuse("a group cannot be read; the file is damaged");
    for (hsize_t i = 0; i < info.nlinks; ++i) {
      if (++objects_ > kObjectLimit) refuse("has more objects than any model");
      const std::string name = link_name(object, i);
      H5L_info_t link;
      if (H5Lget_info(object, name.c_str(), &link, H5P_DEFAULT) < 0) refuse("a link cannot be read");
      if (link.type != H5L_TYPE_HARD) refuse(fmt::format("'{}' is a link to elsewhere, which is not followed", name));
      const Handle child(H5Oopen(object, name.c_str(), H5P_DEFAULT), H5Oclose);
      const H5I_type_t kind = child.ok() ? H5Iget_type(child) : H5I_BADID;
      if (kind == H5I_GROUP) {
        group.groups[name] = read(child, depth + 1);
      } else if (kind == H5I_DATASET) {
        group.arrays[name] = read_array(child, name);
      } else {
        refuse(fmt::format("'{}' is neither a group nor an array, or is damaged", name));
      }
    }
    return group;
  }

 private:
  [[noreturn]] void refuse(const std::string& message) const { throw DataError(origin_ + ": " + message); }

  void spend(uint64_t bytes) {
    if (bytes > budget_) refuse("claims more data than it holds (compressed arrays are not read)");
    budget_ -= bytes;
  }

  std::string link_name(hid_t object, hsize_t index) const {
    const ssize_t size = H5Lget_name_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, index, nullptr, 0, H5P_DEFAULT);
    if (size < 1 || size > 4096) refuse("a link's name cannot be read");
    std::string name(static_cast<size_t>(size) + 1, '\0');
    if (H5Lget_name_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, index, name.data(), name.size(), H5P_DEFAULT) < 0)
      refuse("a link's name cannot be read");
    name.resize(static_cast<size_t>(size));
    if (name == "." || name.find('/') != std::string::npos)  // the library would take it for a path, through any link
      refuse("a link's name is a path");
    return name;
  }

  void read_attributes(hid_t object, Hdf5Group& group) {
    const int count = H5Aget_num_attrs(object);
    for (int i = 0; i < count; ++i) {
      if (++objects_ > kObjectLimit) refuse("has more objects than any model");
      const Handle attribute(
          H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, static_cast<hsize_t>(i), H5P_DEFAULT, H5P_DEFAULT),
          H5Aclose);
      if (!attribute.ok()) refuse("an attribute cannot be read; the file is damaged");
      char name[256] = {};
      H5Aget_name(attribute, sizeof name, name);
      const Handle type(H5Aget_type(attribute), H5Tclose), space(H5Aget_space(attribute), H5Sclose);
      if (!type.ok() || !space.ok()) refuse("an attribute cannot be read; the file is damaged");
      if (H5Tget_class(type) != H5T_STRING) continue;  // nothing that a model needs
      const hssize_t values = H5Sget_simple_extent_npoints(space);
      if (values < 0) refuse("an attribute cannot be read; the file is damaged");
      const std::vector<std::string> read = read_strings(attribute, type, static_cast<uint64_t>(values));
      if (H5Sget_simple_extent_type(space) == H5S_SCALAR) {
        if (!read.empty()) group.texts[name] = read[0];
      } else {
        group.names[name] = read;
      }
    }
  }

  std::vector<std::string> read_strings(hid_t attribute, hid_t type, uint64_t count) {
    std::vector<std::string> result;
    if (count == 0) return result;
    if (H5Tis_variable_str(type) > 0) {
      if (count > budget_) refuse("claims more data than it holds");  // no overflow below
      spend(count * sizeof(char*));
      const Handle memory(H5Tcopy(H5T_C_S1), H5Tclose), space(H5Aget_space(attribute), H5Sclose);
      H5Tset_size(memory, H5T_VARIABLE);
      H5Tset_cset(memory, H5Tget_cset(type));
      std::vector<char*> texts(count, nullptr);
      if (H5Aread(attribute, memory, static_cast<void*>(texts.data())) < 0) refuse("a text in it cannot be read");
      for (const char* text : texts) result.emplace_back(text == nullptr ? "" : text);
      H5Dvlen_reclaim(memory, space, H5P_DEFAULT, static_cast<void*>(texts.data()));
      return result;
    }
    const uint64_t width = H5Tget_size(type);
    if (width == 0 || count > budget_ / width) refuse("claims more data than it holds");
    spend(count * width);
    std::string bytes(count * width, '\0');
    if (H5Aread(attribute, type, bytes.data()) < 0) refuse("a text in it cannot be read");
    for (uint64_t i = 0; i < count; ++i) {
      const std::string one = bytes.substr(i * width, width);
      result.push_back(one.substr(0, one.find('\0')));
    }
    return result;
  }

  Array read_array(hid_t data, const std::string& name) {
    const Handle type(H5Dget_type(data), H5Tclose), space(H5Dget_space(data), H5Sclose),
        properties(H5Dget_create_plist(data), H5Pclose);
    if (!type.ok() || !space.ok() || !properties.ok()) refuse(fmt::format("'{}' is damaged", name));
    if (H5Pget_layout(properties) == H5D_VIRTUAL || H5Pget_external_count(properties) > 0)
      refuse(fmt::format("the data of '{}' lie in another file, which is not read", name));
    if (H5Pget_nfilters(properties) > 0) refuse(fmt::format("'{}' is compressed, which Keras's files are not", name));
    const H5T_class_t kind = H5Tget_class(type);
    if (kind != H5T_FLOAT && kind != H5T_INTEGER) refuse(fmt::format("'{}' does not hold numbers", name));
    const int rank = H5Sget_simple_extent_ndims(space);
    const H5S_class_t extent = H5Sget_simple_extent_type(space);
    if (rank < 0 || (extent != H5S_SIMPLE && extent != H5S_SCALAR)) refuse(fmt::format("'{}' has no shape", name));
    std::vector<hsize_t> extents(static_cast<size_t>(rank));
    H5Sget_simple_extent_dims(space, extents.data(), nullptr);
    uint64_t count = 1;
    for (const hsize_t e : extents) {
      if (e != 0 && count > budget_ / e) refuse(fmt::format("'{}' claims more data than the file holds", name));
      count *= e;
    }
    if (count > budget_ / sizeof(float)) refuse(fmt::format("'{}' claims more data than the file holds", name));
    spend(count * sizeof(float));
    Array array{{extents.begin(), extents.end()}, std::vector<float>(count), kind == H5T_INTEGER};
    if (count > 0 && H5Dread(data, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data()) < 0)
      refuse(fmt::format("'{}' cannot be read; the file is damaged", name));
    return array;
  }

  uint64_t budget_;  // bytes that may still be allocated for what the file says it holds
  size_t objects_ = 0;
  std::string origin_;
};

}  // namespace

Hdf5Group& Hdf5Group::at_path(const std::string& path) {
  Hdf5Group* group = this;
  for (const std::string& part : parts(path)) group = &group->groups[part];
  return *group;
}

const Hdf5Group* Hdf5Group::find_group(const std::string& path) const {
  const Hdf5Group* group = this;
  for (const std::string& part : parts(path)) {
    const auto child = group->groups.find(part);
    if (child == group->groups.end()) return nullptr;
    group = &child->second;
  }
  return group;
}

const Array* Hdf5Group::find_array(const std::string& path) const {
  const size_t slash = path.rfind('/');
  const Hdf5Group* group = slash == std::string::npos ? this : find_group(path.substr(0, slash));
  if (group == nullptr) return nullptr;
  const auto array = group->arrays.find(slash == std::string::npos ? path : path.substr(slash + 1));
  return array == group->arrays.end() ? nullptr : &array->second;
}

std::string write_hdf5(const Hdf5Group& root) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fapl_core(access, 1 << 20, false);  // in memory only
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  H5Pset_obj_track_times(creation, false);
  const Handle file(H5Fcreate(kNoFile, H5F_ACC_TRUNC, creation, access), H5Fclose);
  check(file.ok(), "a file in memory");
  write_group(file, root);
  check(H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0, "a file in memory");
  const ssize_t size = H5Fget_file_image(file, nullptr, 0);
  check(size > 0, "a file in memory");
  std::string bytes(static_cast<size_t>(size), '\0');
  check(H5Fget_file_image(file, bytes.data(), bytes.size()) == size, "a file in memory");
  return bytes;
}

Hdf5Group read_hdf5(const std::string& bytes, const std::string& origin) {
  constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
  if (!bytes.starts_with(kSignature)) throw DataError(origin + ": is no HDF5 file");
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);  // a file names filters; none is loaded
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fapl_core(access, 1 << 20, false);
  H5Pset_file_image(access, const_cast<char*>(bytes.data()), bytes.size());  // which it copies
  const Handle file(H5Fopen(kNoFile, H5F_ACC_RDONLY, access), H5Fclose);
  if (!file.ok()) throw DataError(origin + ": is a damaged HDF5 file, or was cut off");
  const Handle root(H5Gopen2(file, "/", H5P_DEFAULT), H5Gclose);
  if (!root.ok()) throw DataError(origin + ": is a damaged HDF5 file, or was cut off");
  return Reader(bytes.size(), origin).read(root, 0);
}

}  // namespace kiln
