// Which instruction another one may be taken for.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace nibble::mutation {

enum class Change : uint8_t {
  kOpcode,      // the same operands under another opcode
  kFirst,       // the result is the first operand
  kSwap,        // first and second operand change places
  kFirstTwice,  // the second operand is the first one again
};

struct Rule {
  std::string_view kind;
  std::string_view what;
  uint16_t op;
  Change change;
  uint16_t to = 0;  // kOpcode
};

// For instructions of the form: result type, result, operands.
std::span<const Rule> rules();

// Extended instructions of GLSL.std.450.
struct ExtendedRule {
  std::string_view what;
  uint32_t number;
  Change change;
  uint32_t to = 0;
};

std::span<const ExtendedRule> extended_rules();

}  // namespace nibble::mutation
