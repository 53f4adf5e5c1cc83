#include "tests/portability/mutation/mutation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#define SPV_ENABLE_UTILITY_CODE
#include <fmt/format.h>
#include <glslang/SPIRV/GLSL.std.450.h>
#include <glslang/SPIRV/spirv.hpp>

#include "tests/portability/mutation/rules.h"

namespace nibble::mutation {
namespace {

using faults::Instruction;
using faults::Module;

// What an id is: its type, and its defining instruction.
struct Ids {
  std::map<uint32_t, uint32_t> type;
  std::map<uint32_t, const Instruction*> definition;

  explicit Ids(const Module& module) {
    for (const Instruction& i : module.code()) {
      bool has_result = false;
      bool has_type = false;
      spv::HasResultAndType(static_cast<spv::Op>(i.op), &has_result, &has_type);
      if (has_type) type[i.operands.at(1)] = i.operands[0];
      if (has_result) definition[i.operands.at(has_type ? 1 : 0)] = &i;
    }
  }
  const Instruction* of(uint32_t id) const {
    const auto found = definition.find(id);
    return found == definition.end() ? nullptr : found->second;
  }
  // A 32-bit number that is a constant, or null.
  const Instruction* scalar(uint32_t id) const {
    const Instruction* i = of(id);
    return i != nullptr && i->op == spv::OpConstant && i->operands.size() == 3 ? i : nullptr;
  }
  bool is_float(uint32_t type_id) const {
    const Instruction* i = of(type_id);
    return i != nullptr && i->op == spv::OpTypeFloat;
  }
};

// Operands that are scopes or memory semantics, from the first operand on.
std::pair<size_t, size_t> semantics_of(uint16_t op) {
  if (op == spv::OpControlBarrier) return {0, 3};
  if (op == spv::OpMemoryBarrier) return {0, 2};
  if (op >= spv::OpAtomicLoad && op <= spv::OpAtomicXor)
    return op == spv::OpAtomicStore ? std::pair<size_t, size_t>{1, 3} : std::pair<size_t, size_t>{3, 5};
  if (op >= spv::OpGroupNonUniformElect && op <= spv::OpGroupNonUniformQuadSwap) return {2, 3};
  return {0, 0};
}

bool is_semantics(uint16_t op, size_t operand) {
  const auto [begin, end] = semantics_of(op);
  return operand >= begin && operand < end;
}

// A wrong value for a constant: floats are twice what they were, integers one off. Large ones, which are masks and the
// bits of floats, lose their highest bit instead: the last places of a float are what tolerances are for.
uint32_t wrong_value(uint32_t value, bool is_float) {
  if (!is_float) return value <= 0xffff ? value + 1 : value & ~std::bit_floor(value);
  const auto number = std::bit_cast<float>(value);
  if (number == 0 || !std::isfinite(number)) return std::bit_cast<uint32_t>(1.0f);
  return std::bit_cast<uint32_t>(number * 2);
}

std::string value_text(uint32_t value, bool is_float) {
  return is_float ? fmt::format("{} (float)", std::bit_cast<float>(value)) : std::to_string(value);
}

class Finder {
 public:
  explicit Finder(const Module& module) : module_(module), ids_(module) {}

  std::vector<Mutation> find() {
    bool in_function = false;
    size_t begin = 0;
    for (size_t at = 0; at < module_.code().size(); ++at) {
      const Instruction& i = module_.code()[at];
      if (i.op == spv::OpFunction && !std::exchange(in_function, true)) begin = at;
      at_ = at;
      place_ = in_function ? fmt::format("+{}", at - begin) : "";
      if (in_function) {
        by_rules(i);
        control(i);
        memory(i);
        vectors(i);
        groups(i);
        constant_uses(i);
      } else {
        decorations(i);
        constants(i);
      }
    }
    return std::move(found_);
  }

 private:
  // Opcodes of the instructions around this one; nothing outside of functions, where order says little.
  std::string surroundings() const {
    constexpr size_t kReach = 6;
    std::string opcodes;
    if (place_.empty()) return opcodes;
    const size_t end = std::min(at_ + kReach + 1, module_.code().size());
    for (size_t i = at_ - std::min(at_, kReach); i < end; ++i) opcodes += fmt::format(" {}", module_.code()[i].op);
    return opcodes;
  }

  Mutation& add(std::string_view kind, std::string_view what, std::optional<Instruction> replacement) {
    const std::string where = std::string(what.substr(0, what.find('%'))) + surroundings();
    found_.push_back({.kind = std::string(kind),
                      .what = place_.empty() ? std::string(what) : fmt::format("{} {}", place_, what),
                      .site = fmt::format("{} #{}", where, ++times_[where]),
                      .is_apart = false,
                      .at = at_,
                      .replacement = std::move(replacement),
                      .literal = {}});
    return found_.back();
  }

  // `first` is the index of the first operand proper.
  std::optional<Instruction> changed(const Instruction& i, Change change, size_t first) const {
    const bool has_two = i.operands.size() >= first + 2;
    Instruction result = i;
    switch (change) {
      case Change::kOpcode:
        return std::nullopt;
      case Change::kFirst:
        if (ids_.type.at(i.operands.at(first)) != i.operands[0]) return std::nullopt;
        return Instruction{spv::OpCopyObject, {i.operands[0], i.operands[1], i.operands[first]}};
      case Change::kSwap:
        if (!has_two || i.operands[first] == i.operands[first + 1]) return std::nullopt;
        std::swap(result.operands[first], result.operands[first + 1]);
        return result;
      case Change::kFirstTwice:
        if (!has_two || i.operands[first] == i.operands[first + 1]) return std::nullopt;
        result.operands[first + 1] = i.operands[first];
        return result;
    }
    return std::nullopt;
  }

  void by_rules(const Instruction& i) {
    for (const Rule& rule : rules()) {
      if (rule.op != i.op) continue;
      std::optional<Instruction> other = changed(i, rule.change, 2);
      if (rule.change == Change::kOpcode) other = Instruction{rule.to, i.operands};
      if (other) add(rule.kind, rule.what, std::move(other));
    }
    if (i.op != spv::OpExtInst) return;
    for (const ExtendedRule& rule : extended_rules()) {
      if (rule.number != i.operands.at(3)) continue;
      std::optional<Instruction> other;
      if (rule.change == Change::kOpcode) {
        other = i;
        other->operands[3] = rule.to;
      } else if (rule.number == GLSLstd450Fma) {
        other = Instruction{spv::OpFMul, {i.operands[0], i.operands[1], i.operands.at(4), i.operands.at(5)}};
      } else {
        other = changed(i, rule.change, 4);
      }
      if (other) add("extended instruction", rule.what, std::move(other));
    }
  }

  void control(const Instruction& i) {
    Instruction other = i;
    if (i.op == spv::OpSelect) {
      std::swap(other.operands.at(3), other.operands.at(4));
      add("selection", "OpSelect operands swapped", other);
    } else if (i.op == spv::OpBranchConditional) {
      std::swap(other.operands.at(1), other.operands.at(2));
      add("selection", "OpBranchConditional inverted", other);
    } else if (i.op == spv::OpPhi && i.operands.size() == 6) {
      std::swap(other.operands[2], other.operands[4]);
      add("selection", "OpPhi values swapped", other);
    }
  }

  void memory(const Instruction& i) {
    if (i.op == spv::OpStore) add("memory access", "OpStore dropped", std::nullopt);
    if (i.op == spv::OpAtomicIAdd) {
      add("memory access", "OpAtomicIAdd -> OpAtomicISub", Instruction{spv::OpAtomicISub, i.operands});
      add("memory access", "OpAtomicIAdd -> OpAtomicUMax", Instruction{spv::OpAtomicUMax, i.operands});
    }
    if (i.op == spv::OpControlBarrier || i.op == spv::OpMemoryBarrier) {
      const std::string_view name = i.op == spv::OpControlBarrier ? "OpControlBarrier" : "OpMemoryBarrier";
      add("memory semantics", fmt::format("{} dropped", name), std::nullopt).is_apart = true;
      Mutation& relaxed = add("memory semantics", fmt::format("{} without semantics", name), i);
      relaxed.is_apart = true;
      relaxed.literal = {i.operands.size() - 1, ids_.type.at(i.operands.back()), 0};
    }
  }

  void vectors(const Instruction& i) {
    Instruction other = i;
    if (i.op == spv::OpCompositeExtract && i.operands.size() == 4) {
      const Instruction* type = ids_.of(ids_.type.at(i.operands[2]));
      if (type == nullptr || type->op != spv::OpTypeVector) return;
      other.operands[3] = (i.operands[3] + 1) % type->operands.at(2);
      add("vector", "OpCompositeExtract of the next part", other);
    } else if (i.op == spv::OpVectorShuffle && i.operands.size() >= 6 && i.operands[4] != i.operands[5]) {
      std::swap(other.operands[4], other.operands[5]);
      add("vector", "OpVectorShuffle parts swapped", other);
    }
  }

  void groups(const Instruction& i) {
    if (i.op == spv::OpGroupNonUniformFAdd) {
      add("group operation", "OpGroupNonUniformFAdd -> FMax", Instruction{spv::OpGroupNonUniformFMax, i.operands});
      Instruction scan = i;
      scan.operands[3] = spv::GroupOperationInclusiveScan;
      add("group operation", "OpGroupNonUniformFAdd is a scan", scan);
      add("group operation", "OpGroupNonUniformFAdd dropped",
          Instruction{spv::OpCopyObject, {i.operands[0], i.operands[1], i.operands.at(4)}});
    }
    if (i.op == spv::OpSDot || i.op == spv::OpUDot) {
      Instruction other = i;
      other.op = i.op == spv::OpSDot ? uint16_t{spv::OpUDot} : uint16_t{spv::OpSDot};
      add("group operation", "packed dot product of the other sign", other);
    }
  }

  // One use of a constant: the instruction takes another number.
  void constant_uses(const Instruction& i) {
    if (i.op == spv::OpVariable || i.op == spv::OpPhi) return;
    for (size_t operand = 2; operand < i.operands.size(); ++operand) {
      if (is_semantics(i.op, operand) || (i.op == spv::OpExtInst && operand < 4)) continue;
      const bool is_literal = i.op == spv::OpCompositeExtract || i.op == spv::OpVectorShuffle ||
                              i.op == spv::OpImageFetch || (i.op == spv::OpLoad);
      if (is_literal) break;
      const Instruction* constant = ids_.scalar(i.operands[operand]);
      if (constant == nullptr) continue;
      const bool is_float = ids_.is_float(constant->operands[0]);
      const uint32_t value = constant->operands[2];
      const uint32_t wrong = wrong_value(value, is_float);
      Mutation& use = add("constant's use",
                          fmt::format("operand {} of opcode {}: {} -> {}", operand, i.op, value_text(value, is_float),
                                      value_text(wrong, is_float)),
                          i);
      use.literal = {operand, constant->operands[0], wrong};
    }
  }

  // A constant wherever it is used.
  void constants(const Instruction& i) {
    if (i.op != spv::OpConstant || i.operands.size() != 3) return;
    const bool is_float = ids_.is_float(i.operands[0]);
    const uint32_t id = i.operands[1];
    bool in_types = false;
    bool is_used = false;
    bool only_semantics = true;
    for (const Instruction& user : module_.code()) {
      const bool has_literals = user.op < spv::OpTypeArray || user.op == spv::OpConstant ||
                                user.op == spv::OpDecorate || user.op == spv::OpMemberDecorate;
      if (has_literals && user.op != spv::OpExtInst) continue;
      for (size_t operand = 0; operand < user.operands.size(); ++operand) {
        if (user.operands[operand] != id) continue;
        is_used = true;
        // The size of workgroups would change as well: right again.
        in_types |= (user.op == spv::OpTypeArray && operand == 2) || user.op == spv::OpConstantComposite;
        only_semantics &= is_semantics(user.op, operand);
      }
    }
    if (in_types || !is_used) return;
    Instruction other = i;
    other.operands[2] = wrong_value(i.operands[2], is_float);
    Mutation& constant = add(
        only_semantics ? "memory semantics" : "constant",
        fmt::format("constant {} -> {}", value_text(i.operands[2], is_float), value_text(other.operands[2], is_float)),
        other);
    constant.is_apart = only_semantics;
  }

  void decorations(const Instruction& i) {
    if (i.op != spv::OpDecorate && i.op != spv::OpMemberDecorate) return;
    const size_t first = i.op == spv::OpDecorate ? 1 : 2;
    const uint32_t decoration = i.operands.at(first);
    Instruction other = i;
    const auto name = [&](std::string_view text) {
      return fmt::format("{} of {}", text,
                         first == 1 ? fmt::format("%{}", i.operands[0])
                                    : fmt::format("member {} of %{}", i.operands[1], i.operands[0]));
    };
    switch (decoration) {
      case spv::DecorationRestrict:
      case spv::DecorationNonWritable:
      case spv::DecorationNoContraction:
        add("decoration", name("hint dropped"), std::nullopt).is_apart = true;
        return;
      case spv::DecorationOffset:
      case spv::DecorationArrayStride:
        other.operands.at(first + 1) += 4;
        add("decoration", name(decoration == spv::DecorationOffset ? "Offset + 4" : "ArrayStride + 4"), other)
            .is_apart = true;
        return;
      case spv::DecorationBinding:
        other.operands.at(first + 1) ^= 1;
        add("decoration", name("Binding ^ 1"), other).is_apart = true;
        return;
      case spv::DecorationBuiltIn:
        if (i.operands.at(first + 1) != spv::BuiltInLocalInvocationId) return;
        other.operands[first + 1] = spv::BuiltInWorkgroupId;
        add("decoration", name("LocalInvocationId -> WorkgroupId"), other).is_apart = true;
        return;
      default:
        return;
    }
  }

  const Module& module_;
  Ids ids_;
  size_t at_ = 0;
  std::string place_;
  std::map<std::string, size_t> times_;
  std::vector<Mutation> found_;
};

}  // namespace

std::vector<Mutation> mutations_of(const Module& module) { return Finder(module).find(); }

void apply(Module& module, const Mutation& mutation) {
  if (!mutation.replacement) {
    module.code().erase(module.code().begin() + static_cast<ptrdiff_t>(mutation.at));
    return;
  }
  module.code().at(mutation.at) = *mutation.replacement;
  if (!mutation.literal) return;
  // A new constant is declared before the functions and moves them.
  const size_t before = module.code().size();
  const uint32_t id = module.constant(mutation.literal->type, mutation.literal->value);
  const size_t at = mutation.at + module.code().size() - before;
  module.code().at(at).operands.at(mutation.literal->operand) = id;
}

}  // namespace nibble::mutation
