#pragma once

#include <regex>
#include <string>

namespace kiln {

/// For EXPECT_PRED2, which prints both texts.
inline bool matches(const std::string& text, const std::string& regex) {
  return std::regex_match(text, std::regex(regex));
}
inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace kiln
