#include "tests/portability/faults/spirv_module.h"

#include <algorithm>

namespace nibble::faults {
namespace {

constexpr size_t kHeaderWords = 5;

}  // namespace

Module::Module(std::span<const uint32_t> words)
    : header_(words.begin(), words.begin() + static_cast<ptrdiff_t>(std::min(words.size(), kHeaderWords))) {
  for (size_t at = kHeaderWords; at < words.size();) {
    const size_t length = std::clamp<size_t>(words[at] >> 16, 1, words.size() - at);
    const auto begin = words.begin() + static_cast<ptrdiff_t>(at);
    code_.push_back({static_cast<uint16_t>(words[at] & 0xffff), {begin + 1, begin + static_cast<ptrdiff_t>(length)}});
    at += length;
  }
}

std::vector<uint32_t> Module::words() const {
  std::vector<uint32_t> result = header_;
  for (const Instruction& instruction : code_) {
    result.push_back(static_cast<uint32_t>(instruction.operands.size() + 1) << 16 | instruction.op);
    result.insert(result.end(), instruction.operands.begin(), instruction.operands.end());
  }
  return result;
}

// Global declarations go before the first function; types stand before what uses them that way.
uint32_t Module::declare(Instruction instruction) {
  const uint32_t id = instruction.op == kOpConstant ? instruction.operands[1] : instruction.operands[0];
  const auto first_function =
      std::find_if(code_.begin(), code_.end(), [](const Instruction& i) { return i.op == kOpFunction; });
  code_.insert(first_function, std::move(instruction));
  return id;
}

uint32_t Module::uint_type() {
  for (const Instruction& i : code_) {
    if (i.op == kOpTypeInt && i.operands[1] == 32 && i.operands[2] == 0) return i.operands[0];
  }
  return declare({kOpTypeInt, {new_id(), 32, 0}});
}

uint32_t Module::float_type() {
  for (const Instruction& i : code_) {
    if (i.op == kOpTypeFloat && i.operands[1] == 32) return i.operands[0];
  }
  return declare({kOpTypeFloat, {new_id(), 32}});
}

uint32_t Module::constant(uint32_t type, uint32_t value) {
  for (const Instruction& i : code_) {
    if (i.op == kOpConstant && i.operands[0] == type && i.operands.size() == 3 && i.operands[2] == value) {
      return i.operands[1];
    }
  }
  return declare({kOpConstant, {type, new_id(), value}});
}

const Instruction* Module::definition(uint32_t id) const {
  for (const Instruction& i : code_) {
    const bool has_type = i.op == kOpVariable || i.op == kOpAccessChain || i.op == kOpLoad || i.op == kOpConstant;
    const bool is_type = i.op >= kOpTypeInt - 2 && i.op <= kOpFunction - 21;
    if (has_type && i.operands.size() > 1 && i.operands[1] == id) return &i;
    if (is_type && !i.operands.empty() && i.operands[0] == id) return &i;
  }
  return nullptr;
}

void Module::replace(uint16_t op, const Edit& edit) {
  // Edits may declare constants, which changes code_: look at a copy.
  const std::vector<Instruction> before = code_;
  std::vector<Instruction> body;
  std::vector<std::vector<Instruction>> replaced;
  for (const Instruction& i : before) {
    if (i.op == op) replaced.push_back(edit(i));
  }
  size_t next = 0;
  for (Instruction& i : code_) {
    if (i.op == op && next < replaced.size()) {
      for (Instruction& r : replaced[next]) body.push_back(std::move(r));
      ++next;
    } else {
      body.push_back(std::move(i));
    }
  }
  code_ = std::move(body);
}

void Module::replace_ext(uint32_t number, const Edit& edit) {
  replace(kOpExtInst,
          [&](const Instruction& i) { return i.operands.at(3) == number ? edit(i) : std::vector<Instruction>{i}; });
}

bool Module::has(uint16_t op) const {
  return std::any_of(code_.begin(), code_.end(), [op](const Instruction& i) { return i.op == op; });
}

}  // namespace nibble::faults
