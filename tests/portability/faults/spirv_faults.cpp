// Faults of a driver's compiler: instructions that mean something else than the specification says.
#include <functional>

#include "tests/portability/faults/fault.h"

namespace nibble::faults {
namespace {

using Instructions = std::vector<Instruction>;

class SpirvFault final : public Fault {
 public:
  explicit SpirvFault(std::function<void(Module&)> edit) : edit_(std::move(edit)) {}
  void edit_module(Module& module) override { edit_(module); }

 private:
  std::function<void(Module&)> edit_;
};

// Changes the opcode and nothing else.
std::function<void(Module&)> rename(uint16_t from, uint16_t to) {
  return [=](Module& m) {
    for (Instruction& i : m.code()) {
      if (i.op == from) i.op = to;
    }
  };
}

// The float result of an instruction, or of an extended instruction, loses the bits that `mask` has not.
Instructions with_masked_result(Module& m, const Instruction& i, uint32_t mask) {
  const uint32_t type = i.operands[0];
  if (type != m.float_type()) return {i};
  const uint32_t bits = m.uint_type();
  const uint32_t mask_id = m.constant(bits, mask);
  const uint32_t exact = m.new_id();
  const uint32_t word = m.new_id();
  const uint32_t masked = m.new_id();
  Instruction inner = i;
  inner.operands[1] = exact;
  return {inner,
          {kOpBitcast, {bits, word, exact}},
          {kOpBitwiseAnd, {bits, masked, word, mask_id}},
          {kOpBitcast, {type, i.operands[1], masked}}};
}

void subgroup_add_is_scan(Module& m) {
  for (Instruction& i : m.code()) {
    if (i.op == kOpGroupNonUniformFAdd) i.operands[3] = 1;  // InclusiveScan: only the last invocation has the sum
  }
}

void subgroup_add_alone(Module& m) {
  m.replace(kOpGroupNonUniformFAdd, [](const Instruction& i) -> Instructions {
    return {{kOpCopyObject, {i.operands[0], i.operands[1], i.operands[4]}}};
  });
}

void barrier_ignored(Module& m) {
  for (const uint16_t op : {kOpControlBarrier, kOpMemoryBarrier}) {
    m.replace(op, [](const Instruction&) { return Instructions{}; });
  }
}

void f16_truncated(Module& m) {
  m.replace_ext(kExtUnpackHalf2x16, [&](const Instruction& i) -> Instructions {
    const uint32_t bits = m.uint_type();
    const uint32_t mask = m.constant(bits, 0xfffefffeu);
    const uint32_t cut = m.new_id();
    Instruction unpack = i;
    unpack.operands[4] = cut;
    return {{kOpBitwiseAnd, {bits, cut, i.operands[4], mask}}, unpack};
  });
}

// A half whose exponent is zero becomes zero.
void f16_denormals_flushed(Module& m) {
  m.replace_ext(kExtUnpackHalf2x16, [&](const Instruction& i) -> Instructions {
    const uint32_t bits = m.uint_type();
    const uint32_t zero = m.constant(bits, 0);
    const uint32_t all = m.constant(bits, 0xffffffffu);
    uint32_t truth = 0;
    for (const Instruction& t : m.code()) {
      if (t.op == kOpTypeInt - 1) truth = t.operands[0];  // OpTypeBool
    }
    if (truth == 0) return {i};
    Instructions result;
    uint32_t word = i.operands[4];
    for (const auto& [exponent, kept] : {std::pair{0x7c00u, 0xfffffc00u}, {0x7c000000u, 0xfc00ffffu}}) {
      const uint32_t exponent_mask = m.constant(bits, exponent);
      const uint32_t kept_mask = m.constant(bits, kept);
      const uint32_t field = m.new_id(), is_zero = m.new_id(), mask = m.new_id(), flushed = m.new_id();
      result.push_back({kOpBitwiseAnd, {bits, field, word, exponent_mask}});
      result.push_back({kOpIEqual, {truth, is_zero, field, zero}});
      result.push_back({kOpSelect, {bits, mask, is_zero, kept_mask, all}});
      result.push_back({kOpBitwiseAnd, {bits, flushed, word, mask}});
      word = flushed;
    }
    result.push_back(i);
    result.back().operands[4] = word;
    return result;
  });
}

// Scales and bf16 are put together by shifts of 23 and 16: one of these constants is off.
void constant_off_by_one(Module& m) {
  for (Instruction& i : m.code()) {
    if (i.op == kOpConstant && i.operands[2] == 23 && i.operands[0] != m.float_type()) i.operands[2] = 22;
  }
}

void last_multiply_is_add(Module& m) {
  for (size_t at = m.code().size(); at-- > 0;) {
    if (m.code()[at].op != kOpFMul) continue;
    m.code()[at].op = kOpFAdd;
    return;
  }
}

// a < b as if b were never more than 1024.
void compare_saturates(Module& m) {
  uint32_t ext = 0;
  for (const Instruction& i : m.code()) {
    if (i.op == kOpExtInst - 1) ext = i.operands[0];  // OpExtInstImport
  }
  if (ext == 0) return;
  m.replace(kOpULessThan, [&](const Instruction& i) -> Instructions {
    const uint32_t bits = m.uint_type();
    const uint32_t most = m.constant(bits, 1024);
    const uint32_t clamped = m.new_id();
    Instruction less = i;
    less.operands[3] = clamped;
    return {{kOpExtInst, {bits, clamped, ext, kExtUMin, i.operands[3], most}}, less};
  });
}

void fma_loses_addend(Module& m) {
  m.replace_ext(kExtFma, [](const Instruction& i) -> Instructions {
    return {{kOpFMul, {i.operands[0], i.operands[1], i.operands[4], i.operands[5]}}};
  });
}

void clamp_ignores_low(Module& m) {
  m.replace_ext(kExtFClamp, [](const Instruction& i) -> Instructions {
    const std::vector<uint32_t>& o = i.operands;
    return {{kOpExtInst, {o[0], o[1], o[2], kExtFMin, o[4], o[6]}}};
  });
}

void max_is_min(Module& m) {
  for (Instruction& i : m.code()) {
    if (i.op == kOpExtInst && i.operands[3] == kExtFMax) i.operands[3] = kExtFMin;
  }
}

// Quotients by way of f32, as some drivers have computed them.
void division_by_float(Module& m) {
  m.replace(kOpUDiv, [&](const Instruction& i) -> Instructions {
    const uint32_t real = m.float_type();
    if (i.operands[0] != m.uint_type()) return {i};
    const uint32_t a = m.new_id(), b = m.new_id(), quotient = m.new_id();
    return {{kOpConvertUToF, {real, a, i.operands[2]}},
            {kOpConvertUToF, {real, b, i.operands[3]}},
            {kOpFDiv, {real, quotient, a, b}},
            {kOpConvertFToU, {i.operands[0], i.operands[1], quotient}}};
  });
}

void truncation_rounds(Module& m) {
  m.replace(kOpConvertFToU, [&](const Instruction& i) -> Instructions {
    const uint32_t real = m.float_type();
    const uint32_t half = m.constant(real, 0x3f000000u);
    const uint32_t raised = m.new_id();
    Instruction convert = i;
    convert.operands[2] = raised;
    return {{kOpFAdd, {real, raised, i.operands[2], half}}, convert};
  });
}

// The workgroup size in the text is right and the one in the launch is stale.
void workgroup_size_stale(Module& m) {
  uint32_t size = 0;
  for (const Instruction& i : m.code()) {
    const bool is_size = i.op == kOpDecorate && i.operands.size() == 3 && i.operands[1] == kDecorationBuiltIn &&
                         i.operands[2] == kBuiltInWorkgroupSize;
    if (is_size) size = i.operands[0];
  }
  uint32_t width = 0;
  for (const Instruction& i : m.code()) {
    if (i.op == kOpConstantComposite && i.operands[1] == size) width = i.operands[2];
  }
  const Instruction* constant = m.definition(width);
  if (constant == nullptr || constant->operands[2] < 2) return;
  const uint32_t half = m.new_id();
  const Instruction halved = {kOpConstant, {constant->operands[0], half, constant->operands[2] / 2}};
  m.replace(kOpConstantComposite, [&](const Instruction& i) -> Instructions {
    if (i.operands[1] != size) return {i};
    Instruction changed = i;
    changed.operands[2] = half;
    return {halved, changed};
  });
}

void atomic_is_not_atomic(Module& m) {
  m.replace(kOpAtomicIAdd, [&](const Instruction& i) -> Instructions {
    const std::vector<uint32_t>& o = i.operands;  // type, result, pointer, scope, semantics, value
    const uint32_t sum = m.new_id();
    return {{kOpLoad, {o[0], o[1], o[2]}}, {kOpIAdd, {o[0], sum, o[1], o[5]}}, {kOpStore, {o[2], sum}}};
  });
}

void third_part_is_second(Module& m) {
  for (Instruction& i : m.code()) {
    if (i.op == kOpCompositeExtract && i.operands.size() == 4 && i.operands[3] == 2) i.operands[3] = 1;
  }
}

// Indices into storage buffers are clamped one element too early.
void buffer_clamped_early(Module& m) {
  uint32_t ext = 0;
  for (const Instruction& i : m.code()) {
    if (i.op == kOpExtInst - 1) ext = i.operands[0];
  }
  if (ext == 0) return;
  const Module before = m;
  m.replace(kOpAccessChain, [&](const Instruction& i) -> Instructions {
    const Instruction* base = before.definition(i.operands[2]);
    if (base == nullptr || base->op != kOpVariable || base->operands[2] != kStorageClassStorageBuffer ||
        i.operands.size() < 5) {
      return {i};
    }
    const uint32_t bits = m.uint_type();
    const uint32_t two = m.constant(bits, 2);
    const uint32_t length = m.new_id(), last = m.new_id(), index = m.new_id();
    Instruction chain = i;
    chain.operands[4] = index;
    return {{kOpArrayLength, {bits, length, i.operands[2], 0}},
            {kOpISub, {bits, last, length, two}},
            {kOpExtInst, {bits, index, ext, kExtUMin, i.operands[4], last}},
            chain};
  });
}

// Arrays of an invocation behave as if they had eight elements.
void private_array_wraps(Module& m) {
  const Module before = m;
  m.replace(kOpAccessChain, [&](const Instruction& i) -> Instructions {
    const Instruction* base = before.definition(i.operands[2]);
    if (base == nullptr || base->op != kOpVariable || base->operands[2] != kStorageClassFunction) return {i};
    const Instruction* constant = before.definition(i.operands[3]);
    if (constant != nullptr && constant->op == kOpConstant) return {i};
    const uint32_t bits = m.uint_type();
    const uint32_t mask = m.constant(bits, 7);
    const uint32_t index = m.new_id();
    Instruction chain = i;
    chain.operands[3] = index;
    return {{kOpBitwiseAnd, {bits, index, i.operands[3], mask}}, chain};
  });
}

std::function<void(Module&)> approximate(uint16_t op, uint32_t mask) {
  return [=](Module& m) { m.replace(op, [&](const Instruction& i) { return with_masked_result(m, i, mask); }); };
}

std::function<void(Module&)> approximate_ext(uint32_t number, uint32_t mask) {
  return
      [=](Module& m) { m.replace_ext(number, [&](const Instruction& i) { return with_masked_result(m, i, mask); }); };
}

struct Named {
  std::string_view name;
  std::function<void(Module&)> edit;
};

const std::vector<Named>& spirv_faults() {
  static const std::vector<Named> faults = {
      {"subgroup_add_is_max", rename(kOpGroupNonUniformFAdd, kOpGroupNonUniformFMax)},
      {"subgroup_add_is_scan", subgroup_add_is_scan},
      {"subgroup_add_alone", subgroup_add_alone},
      {"barrier_ignored", barrier_ignored},
      {"f16_truncated", f16_truncated},
      {"f16_denormals_flushed", f16_denormals_flushed},
      {"constant_off_by_one", constant_off_by_one},
      {"last_multiply_is_add", last_multiply_is_add},
      {"compare_saturates", compare_saturates},
      {"negate_dropped", rename(kOpFNegate, kOpCopyObject)},
      {"shift_is_arithmetic", rename(kOpShiftRightLogical, kOpShiftRightArithmetic)},
      {"fma_loses_addend", fma_loses_addend},
      {"division_approximate", approximate(kOpFDiv, 0xffffff00u)},
      {"inverse_root_approximate", approximate_ext(kExtInverseSqrt, 0xffffff00u)},
      {"exponential_approximate", approximate_ext(kExtExp, 0xfffff000u)},
      {"add_truncates", approximate(kOpFAdd, 0xfffffff0u)},
      {"multiply_truncates", approximate(kOpFMul, 0xfffffff0u)},
      {"clamp_ignores_low", clamp_ignores_low},
      {"max_is_min", max_is_min},
      {"division_by_float", division_by_float},
      {"conversion_signed", rename(kOpConvertUToF, kOpConvertSToF)},
      {"dot_is_unsigned", rename(kOpSDot, kOpUDot)},
      {"truncation_rounds", truncation_rounds},
      {"workgroup_size_stale", workgroup_size_stale},
      {"atomic_is_not_atomic", atomic_is_not_atomic},
      {"less_is_less_equal", rename(kOpFOrdLessThan, kOpFOrdLessThanEqual)},
      {"third_part_is_second", third_part_is_second},
      {"buffer_clamped_early", buffer_clamped_early},
      {"private_array_wraps", private_array_wraps},
  };
  return faults;
}

}  // namespace

std::unique_ptr<Fault> make_spirv_fault(std::string_view name) {
  for (const Named& fault : spirv_faults()) {
    if (fault.name == name) return std::make_unique<SpirvFault>(fault.edit);
  }
  return nullptr;
}

}  // namespace nibble::faults
