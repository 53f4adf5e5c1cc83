#include "tools/conformance/guarded_binding.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace nibble::conformance {
namespace {

constexpr uint64_t kGuardBytes = 256;

// Not the NaN that arithmetic gives: where an output must be NaN, one that was not written is still told apart.
std::vector<std::byte> noisy_nans(size_t bytes, Rng& rng) {
  std::vector<std::byte> result(bytes);
  for (size_t i = 0; i + 4 <= bytes; i += 4) {
    const uint32_t word = 0x7fe00000u | rng.below(0x10000);
    std::memcpy(result.data() + i, &word, 4);
  }
  return result;
}

}  // namespace

GuardedBinding::GuardedBinding(Device& device, const BindingSpec& spec, const CaseBinding& content, uint32_t slabs,
                               bool views_overlap_guards, Rng& rng)
    : spec_(&spec),
      views_overlap_guards_(views_overlap_guards),
      before_(spec.access == Access::kWrite ? noisy_nans(content.content.size(), rng) : content.content) {
  const bool host_memory = device.info().capabilities.has(Capability::kHostMemory);
  if (spec.kind != BindingKind::kSlabs) {
    // Matrices on the cpu lie in the mapped checkpoint, wherever its tensors begin.
    const bool unaligned = host_memory && spec.type == ElementType::kU32x4;
    add_slab(device, before_, unaligned ? 1 + rng.below(15) : 0, rng);
    return;
  }
  const uint64_t items = before_.size() / content.item_bytes;
  items_per_slab_ = std::max<uint64_t>(1, (items + slabs - 1) / slabs);
  for (uint64_t first = 0; first < items; first += items_per_slab_) {
    const uint64_t count = std::min(items_per_slab_, items - first);
    add_slab(device, std::span(before_).subspan(first * content.item_bytes, count * content.item_bytes), 0, rng);
  }
}

void GuardedBinding::add_slab(Device& device, std::span<const std::byte> content, uint64_t shift, Rng& rng) {
  const uint64_t alignment = std::max<uint64_t>(1, device.info().limits.offset_alignment);
  const uint64_t begin = (kGuardBytes + alignment - 1) / alignment * alignment + shift;
  const uint64_t total = (begin + content.size() + kGuardBytes + 3) / 4 * 4;
  Slab slab;
  slab.image.resize(total);
  for (std::byte& byte : slab.image) byte = static_cast<std::byte>(rng.below(256));
  std::copy(content.begin(), content.end(), slab.image.begin() + static_cast<ptrdiff_t>(begin));
  const auto buffer = device.allocate(total, fmt::format("case.{}", spec_->name));
  slab.content_bytes = content.size();
  slab.view = BufferView(buffer, begin, content.size() + (views_overlap_guards_ ? kGuardBytes : 0));
  slabs_.push_back(std::move(slab));
}

Binding GuardedBinding::binding() const {
  std::vector<BufferView> views;
  for (const Slab& slab : slabs_) views.push_back(slab.view);
  return {std::move(views), items_per_slab_};
}

void GuardedBinding::upload(Device& device) const {
  for (const Slab& slab : slabs_) device.upload(slab.view.buffer, slab.image);
}

std::vector<std::byte> GuardedBinding::download(Device& device, std::optional<std::string>& damage) const {
  std::vector<std::byte> content;
  for (const Slab& slab : slabs_) {
    std::vector<std::byte> found(slab.image.size());
    device.download(slab.view.buffer, found);
    const uint64_t begin = slab.view.offset;
    const uint64_t end = begin + slab.content_bytes;
    for (uint64_t i = 0; i < found.size(); ++i) {
      if ((i >= begin && i < end) || found[i] == slab.image[i]) continue;
      damage = fmt::format("binding '{}': byte {} {} the view of {} bytes was overwritten", spec_->name,
                           i < begin ? begin - i : i - end, i < begin ? "before" : "after", slab.content_bytes);
      break;
    }
    content.insert(content.end(), found.begin() + static_cast<ptrdiff_t>(begin),
                   found.begin() + static_cast<ptrdiff_t>(end));
  }
  return content;
}

}  // namespace nibble::conformance
