#include "shaders/common/odd_cases.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "shaders/common/spec_util.h"

namespace nibble::spec {
namespace {

// The case with odd values in binding `b`; at other sizes as well.
KernelCase with_odd_values(const KernelSpec& kernel, const KernelCase& base, size_t b) {
  const auto change = [b](CaseData data, Rng& rng) {
    put_odd_values(data.bindings.at(b).content, rng);
    return data;
  };
  KernelCase odd = base;
  odd.name = "odd_" + std::string(kernel.bindings[b].name);
  odd.make = [make = base.make, change](Rng& rng) { return change(make(rng), rng); };
  if (base.resized) {
    odd.resized = [resized = base.resized, change](Rng& rng, std::span<const uint32_t> values) {
      return change(resized(rng, values), rng);
    };
  }
  return odd;
}

}  // namespace

bool takes_odd_values(const BindingSpec& binding) {
  return (binding.type == ElementType::kF32 || binding.type == ElementType::kF32x4) &&
         binding.access != Access::kWrite && binding.kind != BindingKind::kStep;
}

void put_odd_values(std::vector<std::byte>& floats, Rng& rng) {
  constexpr uint32_t kOdd[] = {0x7fc00000u, 0xffc00001u, 0x7f800000u, 0xff800000u};
  const auto count = static_cast<uint32_t>(floats.size() / 4);
  for (size_t i = 0; i < std::min<size_t>(count, std::size(kOdd)); ++i) {
    std::memcpy(floats.data() + size_t{rng.below(count)} * 4, &kOdd[i], 4);
  }
}

std::vector<KernelCase> all_cases(const KernelSpec& kernel) {
  const std::vector<KernelCase> own = kernel.cases();
  std::vector<KernelCase> all = own;
  size_t next = 1;  // the first cases often have a single row, which one NaN makes NaN altogether
  for (size_t b = 0; b < kernel.bindings.size(); ++b) {
    if (takes_odd_values(kernel.bindings[b])) all.push_back(with_odd_values(kernel, own[next++ % own.size()], b));
  }
  return all;
}

}  // namespace nibble::spec
