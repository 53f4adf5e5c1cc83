#include "host/kv/kv_array.h"

#include <algorithm>
#include <bit>

#include "runtime/base/error.h"

namespace nibble {
namespace {

constexpr uint64_t kHostSlabBytes = uint64_t{1} << 20;  // where a slab is a pointer: memory follows the context closely
constexpr uint64_t kMinSlabBytes = uint64_t{1} << 18;   // below it, growing would cost more than it saves
constexpr uint64_t kGpuSlabs = 8;                       // the longest chain of comparisons that a read goes through

uint64_t ceil_div(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

}  // namespace

KvSlabs plan_kv_slabs(const DeviceInfo& device, uint64_t rows, uint64_t row_bytes, uint64_t most_bytes) {
  uint64_t most = std::min(device.limits.max_range, device.limits.max_allocation) / row_bytes;
  if (most == 0) {
    fail(ErrorCode::kUnsupported, "{}: a row of the KV cache takes {} bytes, the device allows {} a buffer", device.id,
         row_bytes, std::min(device.limits.max_range, device.limits.max_allocation));
  }
  if (most_bytes != 0) most = std::min(most, std::max<uint64_t>(most_bytes / row_bytes, 1));
  uint64_t per_slab = rows;
  if (device.capabilities.has(Capability::kHostMemory)) {
    per_slab = ceil_div(kHostSlabBytes, row_bytes);
  } else if (!device.is_wide_cpu()) {
    per_slab = std::max(ceil_div(rows, kGpuSlabs), ceil_div(kMinSlabBytes, row_bytes));
  }
  // Drivers on the host's processor commit memory as it is touched: one slab costs them nothing before it is used.
  per_slab = std::min({per_slab, most, rows});
  return {.rows = rows, .rows_per_slab = per_slab, .count = static_cast<uint32_t>(ceil_div(rows, per_slab))};
}

KvArray::KvArray(Device& device, const KvSlabs& slabs, uint64_t row_bytes, std::string label, std::vector<KvTier> tiers,
                 std::string directory)
    : device_(&device),
      plan_(slabs),
      row_bytes_(row_bytes),
      label_(std::move(label)),
      tiers_(std::move(tiers)),
      directory_(std::move(directory)) {
  check(tiers_.size() == plan_.count, "{}: places for {} slabs of {}", label_, tiers_.size(), plan_.count);
  const uint64_t alignment = std::max<uint64_t>(device.info().limits.offset_alignment, 16);
  padding_ = device.allocate(std::bit_ceil(plan_.count) * alignment, label_ + " padding");
  make_writable(0, 1);  // a kernel's binding cannot be empty
}

BufferView KvArray::allocate_slab(uint64_t index) const {
  const uint64_t rows = std::min(plan_.rows_per_slab, plan_.rows - index * plan_.rows_per_slab);
  const uint64_t bytes = (rows * row_bytes_ + 15) / 16 * 16;
  switch (tiers_[index]) {
    case KvTier::kDevice:
      return BufferView(device_->allocate(bytes, label_));
    case KvTier::kHost:
      return BufferView(device_->allocate_outside(bytes, label_, ""));
    case KvTier::kFile:
      return BufferView(device_->allocate_outside(bytes, label_, directory_));
  }
  fail(ErrorCode::kInternal, "{}: slab {} has no place", label_, index);
}

uint64_t KvArray::capacity() const { return std::min(plan_.rows, slabs_.size() * plan_.rows_per_slab); }

bool KvArray::make_writable(uint64_t begin, uint64_t end) {
  if (begin >= end) return false;
  check(end <= plan_.rows, "{}: row {} of {}", label_, end - 1, plan_.rows);
  const uint64_t last = (end - 1) / plan_.rows_per_slab;
  std::vector<std::shared_ptr<const BufferView>> added;
  for (uint64_t i = slabs_.size(); i <= last; ++i) {
    added.push_back(std::make_shared<const BufferView>(allocate_slab(i)));
  }
  struct Own {
    uint64_t index = 0;
    std::shared_ptr<const BufferView> slab;
  };
  std::vector<Own> owned;
  for (uint64_t i = begin / plan_.rows_per_slab; i < std::min<uint64_t>(last + 1, slabs_.size()); ++i) {
    if (slabs_[i].use_count() == 1) continue;
    auto own = std::make_shared<const BufferView>(allocate_slab(i));
    const uint64_t first = i * plan_.rows_per_slab;
    if (begin > first) {
      std::vector<std::byte> kept((begin - first) * row_bytes_);
      device_->download(BufferView(slabs_[i]->buffer, 0, kept.size()), kept);
      device_->upload(BufferView(own->buffer, 0, kept.size()), kept);
    }
    owned.push_back({.index = i, .slab = std::move(own)});
  }
  for (Own& own : owned) slabs_[own.index] = std::move(own.slab);
  slabs_.insert(slabs_.end(), added.begin(), added.end());
  return !owned.empty() || !added.empty();
}

Binding KvArray::binding() const {
  Binding binding;
  binding.items_per_slab = plan_.rows_per_slab;
  for (const auto& slab : slabs_) binding.views.push_back(*slab);
  if (device_->info().capabilities.has(Capability::kHostMemory)) return binding;
  const uint64_t padded = std::min<uint64_t>(std::bit_ceil(slabs_.size()), plan_.count);
  const uint64_t alignment = std::max<uint64_t>(device_->info().limits.offset_alignment, 16);
  while (binding.views.size() < padded) {
    binding.views.emplace_back(padding_, binding.views.size() * alignment, 16);
  }
  return binding;
}

template <typename F>
void KvArray::for_each_piece(uint64_t first, uint64_t bytes, F&& f) const {
  check(bytes % row_bytes_ == 0 && first + bytes / row_bytes_ <= capacity(), "{}: {} bytes from row {} of {}", label_,
        bytes, first, capacity());
  uint64_t done = 0;
  while (done < bytes) {
    const uint64_t row = first + done / row_bytes_;
    const uint64_t within = row % plan_.rows_per_slab;
    const uint64_t count = std::min(bytes - done, (plan_.rows_per_slab - within) * row_bytes_);
    f(BufferView(slabs_[row / plan_.rows_per_slab]->buffer, within * row_bytes_, count), done, count);
    done += count;
  }
}

void KvArray::read(uint64_t first, std::span<std::byte> rows) const {
  for_each_piece(first, rows.size(), [&](const BufferView& view, uint64_t at, uint64_t count) {
    device_->download(view, rows.subspan(at, count));
  });
}

void KvArray::write(uint64_t first, std::span<const std::byte> rows) {
  for_each_piece(first, rows.size(), [&](const BufferView& view, uint64_t at, uint64_t count) {
    device_->upload(view, rows.subspan(at, count));
  });
}

}  // namespace nibble
