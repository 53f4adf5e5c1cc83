// How much a model is told to think: a text that begins the prompt of a chat. What the names mean is a fact of the
// checkpoint, since the releases differ: of the previews "high" says nothing and "max" asks for more, of those from
// 0731 on "low" says nothing, "high" says what the previews' "max" said, and "max" asks for still more.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace nibble {

struct EffortLevel {
  std::string_view name;
  std::string_view instruction;  // begins the prompt; empty for the level that is usual
};

// The levels of the checkpoint in `directory`, the usual one first. The encoder published with the weights
// (encoding/encoding_dsv4.py) decides where it is there; otherwise config.json, in which the releases from 0731 on
// describe a DSpark draft head. Throws kNotFound, kInvalidFile or kIo.
std::span<const EffortLevel> effort_levels(const std::filesystem::path& directory);

// The instruction of the level `name`, "" for the usual one; Error(kUsage) lists the levels there are.
std::string_view effort_instruction(std::span<const EffortLevel> levels, std::string_view name);

}  // namespace nibble
