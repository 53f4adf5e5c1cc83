// WeightPlacer: brings single tensors to a device. Small ones share pool buffers, because drivers allow a few thousand
// allocations and a large model has more tensors than that.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/placement/place_weights.h"

namespace nibble {

class WeightPlacer {
 public:
  WeightPlacer(Device& device, std::shared_ptr<const void> keep_alive, uint64_t total_bytes, LoadProgress progress);

  BufferView vector(const WeightVector& vector);     // as f32
  BufferView dense_f32(const WeightMatrix& matrix);  // as f32, one view
  DeviceMatrix matrix(const WeightMatrix& matrix);
  DeviceTable table(const WeightMatrix& matrix);
  // `member` is one of w1, w2, w3.
  DeviceExperts experts(const std::vector<ExpertWeights>& experts, WeightMatrix ExpertWeights::*member);
  BufferView hash_table(const TensorView& tid2eid);  // as u32

  uint64_t device_bytes() const { return device_bytes_; }

 private:
  BufferView take(uint64_t bytes, const std::string& label);
  BufferView copy(std::span<const std::byte> bytes, const std::string& label);
  BufferView wrap(std::span<const std::byte> bytes, const std::string& label);
  // What is `in_file` stays there on a device that works in host memory; what was made for the load is copied.
  BufferView place(std::span<const std::byte> bytes, const std::string& label, bool in_file = true);
  Binding place_slabs(const std::vector<std::span<const std::byte>>& items, uint64_t per_slab, const std::string& label,
                      bool in_file = true);
  uint64_t max_view() const;
  void advance(uint64_t bytes);

  Device& device_;
  std::shared_ptr<const void> keep_alive_;
  bool in_place_;
  uint64_t total_bytes_;
  uint64_t done_bytes_ = 0;
  LoadProgress progress_;
  std::shared_ptr<Buffer> pool_;
  uint64_t pool_used_ = 0;
  uint64_t device_bytes_ = 0;
};

}  // namespace nibble
