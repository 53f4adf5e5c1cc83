// JSON text as Python's json.dumps(value, ensure_ascii=False) writes it: members in their order, ", " and ": " between
// them, floats as repr() has them. The chat format is defined by that program's bytes.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace nibble {

// Whole numbers beyond 64 bits were read as floats and are written as such.
std::string python_json(const nlohmann::ordered_json& value);

// A float as repr() writes it: the shortest digits that read back, with an exponent below 1e-4 and from 1e16.
std::string python_float(double value);

}  // namespace nibble
