#include "host/checkpoint/weight_scan.h"

#include <cstring>

#include <fmt/format.h>

#include "host/text/json_text.h"
#include "runtime/base/mapping_guard.h"

namespace nibble {
namespace {

constexpr uint8_t kE8m0Nan = 255;
// 448 * 2^119 is the last product of e4m3's largest value that f32 holds, 6 * 2^125 that of e2m1's.
constexpr uint8_t kLargestFp8Scale = 127 + 119;
constexpr uint8_t kLargestFp4Scale = 127 + 125;
constexpr uint8_t kAnyScale = 254;

template <typename Condition>
uint64_t count_bytes(std::span<const std::byte> data, Condition&& condition) {
  uint64_t count = 0;
  for (const std::byte byte : data) count += condition(std::to_integer<uint8_t>(byte)) ? 1 : 0;
  return count;
}

// Floats of `Word` bits: all bits of the exponent set is infinity where the mantissa is 0, else NaN.
template <typename Word>
void count_floats(std::span<const std::byte> data, Word exponent, Word mantissa, ReservedCodes& codes) {
  for (size_t at = 0; at + sizeof(Word) <= data.size(); at += sizeof(Word)) {
    Word word;
    std::memcpy(&word, data.data() + at, sizeof word);
    const bool special = (word & exponent) == exponent;
    const bool zero = (word & mantissa) == 0;
    codes.nan += special && !zero ? 1 : 0;
    codes.infinite += special && zero ? 1 : 0;
  }
}

// By the weight that a scale belongs to.
uint8_t largest_scale_code(const Checkpoint& checkpoint, const std::string& name) {
  constexpr std::string_view kEnding = ".scale";
  if (!name.ends_with(kEnding)) return kAnyScale;
  const TensorView* const weight = checkpoint.find(name.substr(0, name.size() - kEnding.size()) + ".weight");
  if (weight == nullptr) return kAnyScale;
  return weight->dtype == Dtype::kF8E4M3 ? kLargestFp8Scale : kLargestFp4Scale;
}

}  // namespace

ReservedCodes reserved_codes(const TensorView& tensor, uint8_t largest) {
  ReservedCodes codes = {.name = tensor.name, .file = tensor.file};
  switch (tensor.dtype) {
    case Dtype::kF8E4M3:
      codes.nan = count_bytes(tensor.data, [](uint8_t code) { return (code & 0x7f) == 0x7f; });
      break;
    case Dtype::kF8E8M0:
      codes.nan = count_bytes(tensor.data, [](uint8_t code) { return code == kE8m0Nan; });
      codes.too_large = count_bytes(tensor.data, [=](uint8_t code) { return code > largest && code != kE8m0Nan; });
      break;
    case Dtype::kBf16:
      count_floats<uint16_t>(tensor.data, 0x7f80, 0x007f, codes);
      break;
    case Dtype::kF16:
      count_floats<uint16_t>(tensor.data, 0x7c00, 0x03ff, codes);
      break;
    case Dtype::kF32:
      count_floats<uint32_t>(tensor.data, 0x7f800000, 0x007fffff, codes);
      break;
    default:
      break;  // integers: every code is a number
  }
  return codes;
}

std::vector<ReservedCodes> scan_weights(const Checkpoint& checkpoint,
                                        const std::function<void(uint64_t done, uint64_t total)>& progress) {
  uint64_t total = 0;
  for (const auto& [name, tensor] : checkpoint.tensors()) total += tensor->data.size();
  std::vector<ReservedCodes> found;
  uint64_t done = 0;
  for (const SafetensorsFile& shard : checkpoint.shards()) {
    for (const TensorView& tensor : shard.tensors()) {
      const std::string name = Checkpoint::canonical_name(tensor.name);
      ReservedCodes codes = reserved_codes(tensor, largest_scale_code(checkpoint, name));
      check_mappings();
      if (codes.all() > 0) found.push_back(std::move(codes));
      done += tensor.data.size();
      if (progress) progress(done, total);
    }
  }
  return found;
}

std::string describe(const ReservedCodes& codes) {
  std::string counts;
  const auto add = [&](uint64_t count, std::string_view what) {
    if (count > 0) counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", count, what);
  };
  add(codes.nan, "NaN");
  add(codes.infinite, "infinite");
  add(codes.too_large, "scales too large for f32");
  return fmt::format("tensor '{}' in {}: {}", printable(codes.name), *codes.file, counts);
}

}  // namespace nibble
