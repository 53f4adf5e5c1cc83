// The weights of a model as a device sees them: big matrices as they are stored, cut so that no piece exceeds the
// device's limits; norms, biases and other small vectors as f32. On a device whose kernels work in host memory the
// pieces are the checkpoint's mapped pages themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/checkpoint/weights.h"
#include "runtime/device/device.h"

namespace nibble {

// Rows [row_begin, row_begin + rows) of a matrix.
struct MatrixPiece {
  uint64_t row_begin = 0;
  uint64_t rows = 0;
  BufferView view;
};

struct DeviceMatrix {
  WeightFormat format = WeightFormat::kF32;
  uint32_t rows = 0;
  uint32_t cols = 0;
  std::vector<MatrixPiece> pieces;
  BufferView scale;  // of formats with scales, whole
};

// Embedding rows in slabs of equal length.
struct DeviceTable {
  WeightFormat format = WeightFormat::kBf16;
  uint32_t rows = 0;
  uint32_t cols = 0;
  Binding slabs;
};

// One of w1, w2, w3 of all routed experts of a layer; weights and scales are cut at the same experts.
struct DeviceExperts {
  WeightFormat format = WeightFormat::kFp4;
  uint32_t rows = 0;
  uint32_t cols = 0;
  Binding weights;
  Binding scales;
};

struct DeviceHyperConnection {
  BufferView fn, base, scale;
};

struct DeviceCompressor {
  uint32_t ratio = 0;
  uint32_t width = 0;
  bool overlap = false;
  DeviceMatrix wkv, wgate;
  BufferView norm, ape;
};

struct DeviceIndexer {
  DeviceMatrix wq_b, weights_proj;
  DeviceCompressor compressor;
};

struct DeviceAttention {
  DeviceMatrix wq_a, wq_b, wkv, wo_a, wo_b;
  BufferView q_norm, kv_norm, sinks;
  std::optional<DeviceCompressor> compressor;
  std::optional<DeviceIndexer> indexer;
};

struct DeviceMoe {
  DeviceMatrix gate;
  bool hash = false;
  BufferView bias;   // score-routed layers
  BufferView table;  // hash-routed layers: u32 [vocab, k]
  DeviceExperts w1, w2, w3;
  DeviceMatrix shared_w1, shared_w2, shared_w3;
};

struct DeviceLayer {
  LayerPlan plan;
  BufferView attn_norm, ffn_norm;
  DeviceHyperConnection hc_attn, hc_ffn;
  DeviceAttention attn;
  DeviceMoe ffn;
};

struct DeviceMtp {
  DeviceLayer layer;
  DeviceMatrix e_proj, h_proj;
  BufferView enorm, hnorm, norm;
  DeviceHyperConnection hc_head;
};

struct DeviceWeights {
  DeviceTable embed;
  DeviceMatrix head;
  BufferView norm;
  DeviceHyperConnection hc_head;
  std::vector<DeviceLayer> layers;
  std::optional<DeviceMtp> mtp;
  uint64_t device_bytes = 0;  // taken on the device; 0 for pages used in place
};

}  // namespace nibble
