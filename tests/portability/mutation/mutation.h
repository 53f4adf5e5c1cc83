// Mutants: a SPIR-V module of which one instruction or constant means something else, as a compiler with one mistake
// would take it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/portability/faults/spirv_module.h"

namespace nibble::mutation {

struct Mutation {
  std::string kind;  // "float arithmetic"; what is sampled evenly and counted by itself
  std::string what;  // "+117 OpFAdd -> OpFSub": how many instructions from the function's beginning, and what changes
  // The same in modules of one kernel text that differ in how arrays are cut into slabs: what changes, the opcodes
  // around it, and which of the places with the same opcodes around them it is.
  std::string site;
  bool is_apart = false;  // decorations and memory semantics: drivers may ignore most of them and still be right
  size_t at = 0;          // in Module::code()
  std::optional<faults::Instruction> replacement;  // none: the instruction is dropped
  struct Literal {
    size_t operand;  // of the replacement: becomes the id of a constant
    uint32_t type;
    uint32_t value;
  };
  std::optional<Literal> literal;
};

// Every mutation of the module, in a fixed order. Some give modules that are not valid.
std::vector<Mutation> mutations_of(const faults::Module& module);

void apply(faults::Module& module, const Mutation& mutation);

}  // namespace nibble::mutation
