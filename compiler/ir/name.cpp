#include "ir/name.h"

#include <algorithm>

#include "ir/error.h"

namespace kiln {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_writable(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\' && c != ','; }

}  // namespace

void check_name(const std::string& name, const char* subject, Location location) {
  if (name.empty()) throw UserError(location, subject, "the name is empty");
  if (!std::all_of(name.begin(), name.end(), is_writable))
    throw UserError(location, subject, "a name is printable ASCII without quotes, backslashes and commas");
}

void check_graph_name(const std::string& name, Location location) {
  const auto in_identifier = [](char c) { return is_letter(c) || is_digit(c); };
  if (name.empty() || is_digit(name.front()) || !std::all_of(name.begin(), name.end(), in_identifier))
    throw UserError(location, "Graph",
                    "the name becomes part of files and C symbols; use letters, digits and _, no digit first");
}

}  // namespace kiln
