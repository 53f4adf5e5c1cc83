// A SPIR-V module as a list of instructions that can be edited. For tests: faults and mutants are edits of modules.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace nibble::faults {

// Opcodes and enumerants by number: the layer is built without SPIRV-Headers.
enum Op : uint16_t {
  kOpExtInst = 12,
  kOpTypeInt = 21,
  kOpTypeFloat = 22,
  kOpTypeVector = 23,
  kOpTypePointer = 32,
  kOpConstant = 43,
  kOpConstantComposite = 44,
  kOpFunction = 54,
  kOpVariable = 59,
  kOpLoad = 61,
  kOpStore = 62,
  kOpAccessChain = 65,
  kOpArrayLength = 68,
  kOpDecorate = 71,
  kOpCompositeExtract = 81,
  kOpCopyObject = 83,
  kOpConvertFToU = 109,
  kOpConvertSToF = 111,
  kOpConvertUToF = 112,
  kOpBitcast = 124,
  kOpFNegate = 127,
  kOpIAdd = 128,
  kOpFAdd = 129,
  kOpISub = 130,
  kOpIMul = 132,
  kOpFMul = 133,
  kOpUDiv = 134,
  kOpFDiv = 136,
  kOpSelect = 169,
  kOpIEqual = 170,
  kOpULessThan = 176,
  kOpFOrdLessThan = 184,
  kOpFOrdLessThanEqual = 188,
  kOpShiftRightLogical = 194,
  kOpShiftRightArithmetic = 195,
  kOpBitwiseAnd = 199,
  kOpControlBarrier = 224,
  kOpMemoryBarrier = 225,
  kOpAtomicIAdd = 234,
  kOpGroupNonUniformFAdd = 350,
  kOpGroupNonUniformFMax = 358,
  kOpSDot = 4450,
  kOpUDot = 4451,
};

// GLSL.std.450
enum ExtInst : uint32_t {
  kExtExp = 27,
  kExtInverseSqrt = 32,
  kExtUMin = 38,
  kExtFMin = 37,
  kExtFMax = 40,
  kExtFClamp = 43,
  kExtFma = 50,
  kExtUnpackHalf2x16 = 62,
};

inline constexpr uint32_t kDecorationBuiltIn = 11;
inline constexpr uint32_t kBuiltInWorkgroupSize = 25;
inline constexpr uint32_t kStorageClassFunction = 7;
inline constexpr uint32_t kStorageClassStorageBuffer = 12;

struct Instruction {
  uint16_t op = 0;
  std::vector<uint32_t> operands;  // result type and result id come first where the opcode has them
};

class Module {
 public:
  explicit Module(std::span<const uint32_t> words);
  std::vector<uint32_t> words() const;

  std::vector<Instruction>& code() { return code_; }
  const std::vector<Instruction>& code() const { return code_; }

  uint32_t new_id() { return header_[3]++; }
  // Ids of 32-bit types and of constants, declared where the module has none yet.
  uint32_t uint_type();
  uint32_t float_type();
  uint32_t constant(uint32_t type, uint32_t value);
  // The instruction that defines an id, or null.
  const Instruction* definition(uint32_t id) const;

  // Every instruction with the opcode is replaced by what `edit` gives for it.
  using Edit = std::function<std::vector<Instruction>(const Instruction&)>;
  void replace(uint16_t op, const Edit& edit);
  void replace_ext(uint32_t number, const Edit& edit);
  bool has(uint16_t op) const;

 private:
  uint32_t declare(Instruction instruction);
  std::vector<uint32_t> header_;
  std::vector<Instruction> code_;
};

}  // namespace nibble::faults
