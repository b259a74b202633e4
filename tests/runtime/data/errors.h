#pragma once

#include <string>

#include "error.h"

namespace kiln {

/// The message of the DataError that `run` ends with; anything else gives a text that equals no message.
template <class Run>
std::string data_error(const Run& run) {
  try {
    run();
  } catch (const DataError& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("not a DataError: ") + error.what();
  }
  return "no error";
}

}  // namespace kiln
