#include "tests/portability/mutation/rules.h"

#include <glslang/SPIRV/GLSL.std.450.h>
#include <glslang/SPIRV/spirv.hpp>

namespace nibble::mutation {
namespace {

#define NIBBLE_OPCODE(kind, from, to) \
  { kind, #from " -> " #to, spv::from, Change::kOpcode, spv::to }
#define NIBBLE_BOTH(kind, from, to) NIBBLE_OPCODE(kind, from, to), NIBBLE_OPCODE(kind, to, from)
#define NIBBLE_FIRST(kind, op) \
  { kind, #op " dropped", spv::op, Change::kFirst }
#define NIBBLE_SWAP(kind, op) \
  { kind, #op " operands swapped", spv::op, Change::kSwap }
#define NIBBLE_TWICE(kind, op) \
  { kind, #op " of the first operand twice", spv::op, Change::kFirstTwice }

constexpr Rule kRules[] = {
    NIBBLE_BOTH("integer arithmetic", OpIAdd, OpISub),
    NIBBLE_OPCODE("integer arithmetic", OpIMul, OpIAdd),
    NIBBLE_BOTH("integer arithmetic", OpUDiv, OpUMod),
    NIBBLE_BOTH("integer arithmetic", OpSDiv, OpSRem),
    NIBBLE_FIRST("integer arithmetic", OpSNegate),
    NIBBLE_BOTH("float arithmetic", OpFAdd, OpFSub),
    NIBBLE_OPCODE("float arithmetic", OpFMul, OpFAdd),
    NIBBLE_OPCODE("float arithmetic", OpFDiv, OpFMul),
    NIBBLE_FIRST("float arithmetic", OpFNegate),
    NIBBLE_FIRST("float arithmetic", OpVectorTimesScalar),
    NIBBLE_TWICE("float arithmetic", OpDot),
    NIBBLE_OPCODE("shift", OpShiftLeftLogical, OpShiftRightLogical),
    NIBBLE_OPCODE("shift", OpShiftRightLogical, OpShiftLeftLogical),
    NIBBLE_OPCODE("shift", OpShiftRightArithmetic, OpShiftRightLogical),
    NIBBLE_FIRST("shift", OpShiftLeftLogical),
    NIBBLE_FIRST("shift", OpShiftRightLogical),
    NIBBLE_BOTH("bitwise", OpBitwiseAnd, OpBitwiseOr),
    NIBBLE_OPCODE("bitwise", OpBitwiseAnd, OpBitwiseXor),
    NIBBLE_OPCODE("bitwise", OpBitwiseXor, OpBitwiseAnd),
    NIBBLE_FIRST("bitwise", OpBitwiseAnd),
    NIBBLE_FIRST("bitwise", OpBitwiseOr),
    NIBBLE_FIRST("bitwise", OpNot),
    NIBBLE_BOTH("comparison", OpIEqual, OpINotEqual),
    NIBBLE_BOTH("comparison", OpULessThan, OpULessThanEqual),
    NIBBLE_BOTH("comparison", OpUGreaterThan, OpUGreaterThanEqual),
    NIBBLE_OPCODE("comparison", OpULessThan, OpUGreaterThanEqual),
    NIBBLE_OPCODE("comparison", OpUGreaterThan, OpULessThanEqual),
    NIBBLE_BOTH("comparison", OpSLessThan, OpSLessThanEqual),
    NIBBLE_BOTH("comparison", OpSGreaterThan, OpSGreaterThanEqual),
    NIBBLE_BOTH("comparison", OpFOrdLessThan, OpFOrdLessThanEqual),
    NIBBLE_BOTH("comparison", OpFOrdGreaterThan, OpFOrdGreaterThanEqual),
    NIBBLE_BOTH("comparison", OpFOrdEqual, OpFUnordNotEqual),
    NIBBLE_BOTH("logical", OpLogicalAnd, OpLogicalOr),
    NIBBLE_BOTH("logical", OpLogicalEqual, OpLogicalNotEqual),
    NIBBLE_FIRST("logical", OpLogicalNot),
    NIBBLE_OPCODE("conversion", OpConvertUToF, OpBitcast),
    NIBBLE_OPCODE("conversion", OpConvertSToF, OpBitcast),
    NIBBLE_OPCODE("conversion", OpConvertFToU, OpBitcast),
    NIBBLE_OPCODE("conversion", OpConvertFToS, OpBitcast),
    NIBBLE_OPCODE("conversion", OpBitcast, OpConvertUToF),
    NIBBLE_OPCODE("conversion", OpBitcast, OpConvertFToU),
    NIBBLE_SWAP("operand order", OpISub),
    NIBBLE_SWAP("operand order", OpUDiv),
    NIBBLE_SWAP("operand order", OpUMod),
    NIBBLE_SWAP("operand order", OpFSub),
    NIBBLE_SWAP("operand order", OpFDiv),
    NIBBLE_SWAP("operand order", OpShiftLeftLogical),
    NIBBLE_SWAP("operand order", OpShiftRightLogical),
    NIBBLE_SWAP("operand order", OpULessThan),
    NIBBLE_SWAP("operand order", OpUGreaterThan),
    NIBBLE_SWAP("operand order", OpFOrdLessThan),
    NIBBLE_SWAP("operand order", OpFOrdGreaterThan),
    NIBBLE_TWICE("operand order", OpIAdd),
    NIBBLE_TWICE("operand order", OpIMul),
    NIBBLE_TWICE("operand order", OpFAdd),
    NIBBLE_TWICE("operand order", OpFMul),
    NIBBLE_SWAP("vector", OpCompositeConstruct),
};

#define NIBBLE_EXTENDED(from, to) \
  { #from " -> " #to, GLSLstd450##from, Change::kOpcode, GLSLstd450##to }
#define NIBBLE_EXTENDED_BOTH(from, to) NIBBLE_EXTENDED(from, to), NIBBLE_EXTENDED(to, from)
#define NIBBLE_EXTENDED_FIRST(from) \
  { #from " dropped", GLSLstd450##from, Change::kFirst }

constexpr ExtendedRule kExtendedRules[] = {
    NIBBLE_EXTENDED_BOTH(FMin, FMax),
    NIBBLE_EXTENDED_BOTH(UMin, UMax),
    NIBBLE_EXTENDED_BOTH(SMin, SMax),
    NIBBLE_EXTENDED_BOTH(Exp, Exp2),
    NIBBLE_EXTENDED_BOTH(Log, Log2),
    NIBBLE_EXTENDED_BOTH(InverseSqrt, Sqrt),
    NIBBLE_EXTENDED_BOTH(Sin, Cos),
    NIBBLE_EXTENDED_BOTH(Floor, Ceil),
    NIBBLE_EXTENDED(RoundEven, Trunc),
    NIBBLE_EXTENDED(Round, Trunc),
    NIBBLE_EXTENDED(FindUMsb, FindILsb),
    NIBBLE_EXTENDED(UnpackHalf2x16, UnpackSnorm2x16),
    NIBBLE_EXTENDED(UnpackHalf2x16, UnpackUnorm2x16),
    NIBBLE_EXTENDED(PackHalf2x16, PackSnorm2x16),
    NIBBLE_EXTENDED_FIRST(FAbs),
    NIBBLE_EXTENDED_FIRST(FMin),
    NIBBLE_EXTENDED_FIRST(FMax),
    NIBBLE_EXTENDED_FIRST(UMin),
    NIBBLE_EXTENDED_FIRST(UMax),
    NIBBLE_EXTENDED_FIRST(FClamp),
    NIBBLE_EXTENDED_FIRST(UClamp),
    {"Fma without its addend", GLSLstd450Fma, Change::kFirstTwice},
};

}  // namespace

std::span<const Rule> rules() { return kRules; }
std::span<const ExtendedRule> extended_rules() { return kExtendedRules; }

}  // namespace nibble::mutation
