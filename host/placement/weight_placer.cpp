#include "host/placement/weight_placer.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace nibble {
namespace {

constexpr uint64_t kPoolBytes = 64u << 20;        // half the smallest binding range seen
constexpr uint64_t kInPlacePoolBytes = 1u << 20;  // where only norms and other small vectors are copied
constexpr uint64_t kElement = 16;                 // views are read in words of 16 bytes

uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

template <typename T>
std::span<const std::byte> as_bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span<const T>(values));
}

}  // namespace

WeightPlacer::WeightPlacer(Device& device, std::shared_ptr<const void> keep_alive, uint64_t total_bytes,
                           LoadProgress progress)
    : device_(device),
      keep_alive_(std::move(keep_alive)),
      in_place_(device.info().capabilities.has(Capability::kHostMemory)),
      total_bytes_(total_bytes),
      progress_(std::move(progress)) {}

uint64_t WeightPlacer::max_view() const {
  return std::min(device_.info().limits.max_range, device_.info().limits.max_allocation);
}

void WeightPlacer::advance(uint64_t bytes) {
  done_bytes_ += bytes;
  if (progress_) progress_(done_bytes_, total_bytes_);
}

BufferView WeightPlacer::take(uint64_t bytes, const std::string& label) {
  const uint64_t padded = round_up(bytes, kElement);
  if (padded > max_view()) {
    fail(ErrorCode::kUnsupported, "'{}' needs {} in one piece, device '{}' allows {}", label, format_bytes(padded),
         device_.info().name, format_bytes(max_view()));
  }
  const uint64_t pool_bytes = std::min(in_place_ ? kInPlacePoolBytes : kPoolBytes, max_view());
  if (padded > pool_bytes / 4) {
    device_bytes_ += padded;
    return BufferView(device_.allocate(padded, label));
  }
  if (pool_ == nullptr || pool_used_ + padded > pool_->bytes()) {
    const uint64_t wanted =
        std::min(pool_bytes, std::max(round_up(total_bytes_ - std::min(done_bytes_, total_bytes_), 256), padded * 4));
    pool_ = device_.allocate(wanted, "weights");
    pool_used_ = 0;
    device_bytes_ += wanted;
  }
  BufferView view(pool_, pool_used_, padded);
  pool_used_ = round_up(pool_used_ + padded, std::max<uint64_t>(device_.info().limits.offset_alignment, kElement));
  return view;
}

BufferView WeightPlacer::copy(std::span<const std::byte> bytes, const std::string& label) {
  BufferView view = take(bytes.size(), label);
  device_.upload(view, bytes);
  return view;
}

BufferView WeightPlacer::wrap(std::span<const std::byte> bytes, const std::string& label) {
  return BufferView(device_.wrap_host(bytes, keep_alive_, label));
}

BufferView WeightPlacer::place(std::span<const std::byte> bytes, const std::string& label, bool in_file) {
  advance(bytes.size());
  return in_place_ && in_file ? wrap(bytes, label) : copy(bytes, label);
}

BufferView WeightPlacer::vector(const WeightVector& vector) {
  advance(vector.values->data.size());
  return copy(as_bytes_of(read_f32(*vector.values)), vector.values->name);
}

BufferView WeightPlacer::dense_f32(const WeightMatrix& matrix) {
  // Kernels read these as floats, but a file may hold them at any address: such a one is copied, unlike big matrices,
  // whose kernels take any alignment.
  const bool aligned = reinterpret_cast<uintptr_t>(matrix.weight->data.data()) % alignof(float) == 0;
  if (matrix.format == WeightFormat::kF32 && (aligned || !in_place_))
    return place(matrix.weight->data, matrix.weight->name);
  advance(matrix.weight->data.size());
  return copy(as_bytes_of(read_f32(*matrix.weight)), matrix.weight->name);
}

DeviceMatrix WeightPlacer::matrix(const WeightMatrix& matrix) {
  DeviceMatrix result{
      .format = matrix.format, .rows = static_cast<uint32_t>(matrix.rows), .cols = static_cast<uint32_t>(matrix.cols)};
  const std::span<const std::byte> data = matrix.weight->data;
  const uint64_t row_bytes = data.size() / matrix.rows;
  // Pieces end on a multiple of 128 rows, a whole scale block, where they are that long at all.
  uint64_t piece_rows = std::max<uint64_t>(1, max_view() / row_bytes);
  if (piece_rows > 128) piece_rows = piece_rows / 128 * 128;
  if (piece_rows > 8) piece_rows = piece_rows / 8 * 8;
  for (uint64_t row = 0; row < matrix.rows; row += piece_rows) {
    const uint64_t rows = std::min(piece_rows, matrix.rows - row);
    BufferView view = place(data.subspan(row * row_bytes, rows * row_bytes), matrix.weight->name);
    result.pieces.push_back({.row_begin = row, .rows = rows, .view = std::move(view)});
  }
  if (matrix.scale != nullptr) {
    result.scale = place(matrix.scale->data, matrix.scale->name, !matrix.scale_converted);
  }
  return result;
}

Binding WeightPlacer::place_slabs(const std::vector<std::span<const std::byte>>& items, uint64_t per_slab,
                                  const std::string& label, bool in_file) {
  Binding binding;
  if (in_place_) {
    for (const auto& item : items) binding.views.push_back(place(item, label, in_file));
    binding.items_per_slab = 1;
    return binding;
  }
  const uint64_t item_bytes = round_up(items.front().size(), 4);
  for (size_t begin = 0; begin < items.size(); begin += per_slab) {
    const size_t count = std::min<size_t>(per_slab, items.size() - begin);
    const BufferView slab = take(count * item_bytes, label);
    // Straight from the file: a slab of them in host memory first could be gigabytes.
    for (size_t i = 0; i < count; ++i) {
      const std::span<const std::byte> item = items[begin + i];
      device_.upload(BufferView(slab.buffer, slab.offset + i * item_bytes, item.size()), item);
      advance(item.size());
    }
    binding.views.push_back(slab);
  }
  binding.items_per_slab = per_slab;
  return binding;
}

DeviceTable WeightPlacer::table(const WeightMatrix& matrix) {
  DeviceTable result{
      .format = matrix.format, .rows = static_cast<uint32_t>(matrix.rows), .cols = static_cast<uint32_t>(matrix.cols)};
  const std::span<const std::byte> data = matrix.weight->data;
  const uint64_t row_bytes = data.size() / matrix.rows;
  const uint64_t per_slab = std::min<uint64_t>(matrix.rows, max_view() / row_bytes);
  for (uint64_t row = 0; row < matrix.rows; row += per_slab) {
    const uint64_t rows = std::min(per_slab, matrix.rows - row);
    result.slabs.views.push_back(place(data.subspan(row * row_bytes, rows * row_bytes), matrix.weight->name));
  }
  result.slabs.items_per_slab = per_slab;
  return result;
}

DeviceExperts WeightPlacer::experts(const std::vector<ExpertWeights>& experts, WeightMatrix ExpertWeights::*member) {
  const WeightMatrix& first = experts.front().*member;
  DeviceExperts result{
      .format = first.format, .rows = static_cast<uint32_t>(first.rows), .cols = static_cast<uint32_t>(first.cols)};
  std::vector<std::span<const std::byte>> weights;
  std::vector<std::span<const std::byte>> scales;
  bool in_files = true;
  for (const ExpertWeights& expert : experts) {
    in_files = in_files && !(expert.*member).scale_converted;
    weights.push_back((expert.*member).weight->data);
    scales.push_back((expert.*member).scale->data);
  }
  // One item above the limit fails in take(), which names the tensor. Scales are the smaller of the two.
  const uint64_t per_slab =
      std::clamp<uint64_t>(max_view() / round_up(weights.front().size(), kElement), 1, experts.size());
  result.weights = place_slabs(weights, per_slab, first.weight->name);
  result.scales = place_slabs(scales, per_slab, first.scale->name, in_files);
  return result;
}

BufferView WeightPlacer::hash_table(const TensorView& tid2eid) {
  advance(tid2eid.data.size());
  const std::vector<int64_t> ids = read_integers(tid2eid);
  const std::vector<uint32_t> words(ids.begin(), ids.end());
  return copy(as_bytes_of(words), tid2eid.name);
}

}  // namespace nibble
