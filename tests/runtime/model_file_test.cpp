#include "model_file.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(ModelFile, ItsEndingSaysWhoseItIs) {
  for (const char* name : {"m.h5", "a/m.hdf5", "m.keras", "m.safetensors", "m.kiln.onnx"})
    EXPECT_TRUE(is_foreign(name)) << name;
  for (const char* name : {"m.kiln", "m", "", "h5", ".h5", "a.h5/m", "m.H5"}) EXPECT_FALSE(is_foreign(name)) << name;
}

}  // namespace
}  // namespace kiln
