#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

namespace kiln {

// The web pages of runtime/pages/, compiled in by cmake/KilnPages.cmake. They need nothing from anywhere else.
extern const std::string_view kDrawPage, kReportPage;

/// The page with `data` where it says DATA, as JSON that no text in it can end.
std::string page_with_data(std::string_view page, const nlohmann::json& data);

/// Two digits a byte, as pages take pixels.
std::string hexadecimal(std::span<const uint8_t> bytes);

}  // namespace kiln
