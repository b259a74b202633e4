#pragma once

namespace kiln {

/// A line of the user's graph file. Every node has one, and every rewrite carries it on, so that errors, debug
/// information and profiles speak in terms of the user's graph.
struct Location {
  const char* file = "";
  int line = 0;

  /// The caller's place: written as a default argument, it is evaluated where the outer function is called.
  /// (`std::source_location` does not compile with Debian 12's clang; the builtins do with both compilers.)
  static constexpr Location here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

}  // namespace kiln
