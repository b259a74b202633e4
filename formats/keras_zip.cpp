// Keras 3's own format. Facts: keras/src/saving/saving_lib.py.
#include <fmt/format.h>
#include <zip.h>

#include <cctype>
#include <memory>

#include "error.h"
#include "hdf5_group.h"
#include "keras_files.h"

namespace kiln {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& origin, const std::string& message) {
  throw DataError(origin + ": " + message);
}

/// Where a layer's weights lie: its class in snake case, numbered within the class in the model's order
/// (keras/src/utils/naming.py, to_snake_case).
class StoreNames {
 public:
  std::string next(const std::string& class_name) {
    const std::string snake = snake_case(class_name);
    const int count = used_[snake]++;
    return count == 0 ? snake : fmt::format("{}_{}", snake, count);
  }

  static std::string snake_case(const std::string& name) {
    std::string result;
    const auto upper = [&](size_t i) {
      return i < name.size() && std::isupper(static_cast<unsigned char>(name[i])) != 0;
    };
    const auto lower = [&](size_t i) {
      return i < name.size() && std::islower(static_cast<unsigned char>(name[i])) != 0;
    };
    for (size_t i = 0; i < name.size(); ++i) {
      const bool after_word = i > 0 && upper(i) && lower(i - 1), before_word = i > 0 && upper(i) && lower(i + 1);
      if (after_word || before_word) result += '_';
      result += static_cast<char>(std::tolower(static_cast<unsigned char>(name[i])));
    }
    return result;
  }

 private:
  std::map<std::string, int> used_;
};

struct ZipCloser {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};

std::string zipped(const std::vector<std::pair<std::string, std::string>>& entries) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(nullptr, 0, 0, &error);
  zip_t* archive = source == nullptr ? nullptr : zip_open_from_source(source, ZIP_TRUNCATE, &error);
  if (archive == nullptr) throw Failure("a zip archive in memory cannot be made");
  zip_source_keep(source);
  for (const auto& [name, bytes] : entries) {
    zip_source_t* data = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const zip_int64_t index = data == nullptr ? -1 : zip_file_add(archive, name.c_str(), data, ZIP_FL_ENC_UTF_8);
    if (index < 0 || zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0) < 0 ||
        zip_file_set_dostime(archive, static_cast<zip_uint64_t>(index), 0, (1 << 5) | 1, 0) < 0)  // 1980: same bytes
      throw Failure("a zip archive in memory cannot be made");
  }
  if (zip_close(archive) < 0) throw Failure("a zip archive in memory cannot be made");
  zip_stat_t status;
  zip_source_stat(source, &status);
  std::string bytes(status.size, '\0');
  const bool read = zip_source_open(source) == 0 &&
                    zip_source_read(source, bytes.data(), bytes.size()) == static_cast<zip_int64_t>(bytes.size());
  zip_source_close(source);
  zip_source_free(source);
  if (!read) throw Failure("a zip archive in memory cannot be made");
  return bytes;
}

/// One entry, of at most `limit` bytes.
std::string entry(zip_t* archive, const char* name, uint64_t limit, const std::string& origin) {
  zip_stat_t status;
  if (zip_stat(archive, name, 0, &status) < 0 || (status.valid & ZIP_STAT_SIZE) == 0)
    refuse(origin, fmt::format("lacks {}: it is no Keras model", name));
  if (status.size > limit)
    refuse(origin, fmt::format("its {} claims {} bytes, more than the file can hold", name, status.size));
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(zip_fopen(archive, name, 0), zip_fclose);
  std::string bytes(status.size, '\0');
  // The last call reaches the end and with it the check of the CRC-32.
  char more = 0;
  if (!file || zip_fread(file.get(), bytes.data(), bytes.size()) != static_cast<zip_int64_t>(bytes.size()) ||
      zip_fread(file.get(), &more, 1) != 0)
    refuse(origin, fmt::format("its {} is damaged", name));
  return bytes;
}

std::vector<NamedArray> numbered(const Hdf5Group* group) {
  std::vector<NamedArray> result;
  if (group == nullptr) return result;
  for (int i = 0;; ++i) {
    const auto array = group->arrays.find(std::to_string(i));
    if (array == group->arrays.end()) return result;
    result.push_back({array->first, array->second});
  }
}

}  // namespace

std::string write_keras(const KerasModel& model) {
  json config = model.model;
  config["module"] = "keras.src.models.functional";
  config["registered_name"] = "Functional";
  config["build_config"] = {{"input_shape", nullptr}};
  if (!model.optimizer.is_null()) {
    config["compile_config"] = model.compile;
    config["compile_config"]["optimizer"] = model.optimizer;
  }
  Hdf5Group store;
  store.groups["vars"];
  StoreNames names;
  for (const KerasLayerName& layer : layer_names(model, "the model")) {
    Hdf5Group& vars = store.groups["layers"].groups[names.next(layer.class_name)].groups["vars"];
    vars.texts["name"] = layer.name;
    const auto weights = model.weights.find(layer.name);
    if (weights == model.weights.end()) continue;
    for (size_t i = 0; i < weights->second.size(); ++i) vars.arrays[std::to_string(i)] = weights->second[i].array;
  }
  for (size_t i = 0; i < model.optimizer_variables.size(); ++i)
    store.at_path("optimizer/vars").arrays[std::to_string(i)] = model.optimizer_variables[i].array;
  return zipped(
      {{"metadata.json", json{{"keras_version", kKerasVersion}, {"date_saved", "1980-01-01@00:00:00"}}.dump()},
       {"config.json", config.dump()},
       {"model.weights.h5", write_hdf5(store)}});
}

KerasModel read_keras(const std::string& bytes, const std::string& origin) {
  if (!bytes.starts_with("PK")) refuse(origin, "is no zip archive, or a damaged one: it is no Keras model");
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  const std::unique_ptr<zip_t, ZipCloser> archive(
      source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error));
  if (!archive) {
    zip_source_free(source);
    refuse(origin, "is no zip archive, or a damaged one: it is no Keras model");
  }
  const json config = json::parse(
      entry(archive.get(), "config.json", std::min<uint64_t>(64 << 20, 64 * bytes.size()), origin), nullptr, false);
  if (!config.is_object()) refuse(origin, "its config.json is no JSON object");
  KerasModel model;
  model.model = config;
  model.compile = config.value("compile_config", json());
  if (model.compile.is_object()) model.optimizer = model.compile.value("optimizer", json());
  const Hdf5Group store =
      read_hdf5(entry(archive.get(), "model.weights.h5", 2 * bytes.size(), origin), origin + ": model.weights.h5");
  StoreNames names;
  for (const KerasLayerName& layer : layer_names(model, origin)) {
    std::vector<NamedArray> arrays =
        numbered(store.find_group(fmt::format("layers/{}/vars", names.next(layer.class_name))));
    if (!arrays.empty()) model.weights[layer.name] = std::move(arrays);
  }
  model.optimizer_variables = numbered(store.find_group("optimizer/vars"));
  return model;
}

}  // namespace kiln
