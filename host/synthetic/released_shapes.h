// The config.json of the released models.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace nibble {

std::vector<std::string> released_shapes();  // "v4-flash", "v4-pro"

// config.json of that model with its first `layers` layers (0: all of them) and without the MTP block when cut. Throws
// kUsage for another name or more layers than there are.
nlohmann::json released_config(std::string_view shape, uint32_t layers);

}  // namespace nibble
