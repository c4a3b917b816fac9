// Amounts as people read them: in progress lines, reports and tables.
#pragma once

#include <string>
#include <string_view>

namespace galatea {

/// 1234567 of "B" -> "1.2 MB" (decimal units); other units in full, with one decimal below ten:
/// "341,469 tok", "2.5 tok", "12" for an empty unit. Negative values and NaN count as 0.
std::string amount(double value, std::string_view unit);

/// "2.4 s", "49 s", "1:15", "2:03:09". Negative values and NaN count as 0.
std::string duration(double seconds);

}  // namespace galatea
