#include "pages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace kiln {

std::string page_with_data(std::string_view page, const nlohmann::json& data) {
  constexpr std::string_view kPlace = "DATA</script>";
  const size_t at = page.find(kPlace);
  std::string text(page.substr(0, at));
  // Text from outside may be no UTF-8; "<" could end the script element.
  for (const char c : data.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)) {
    if (c == '<')
      text += "\\u003c";
    else
      text += c;
  }
  return text.append(page.substr(at + 4));
}

std::string hexadecimal(std::span<const uint8_t> bytes) { return fmt::format("{:02x}", fmt::join(bytes, "")); }

}  // namespace kiln
