// The tensors of a checkpoint with random weights: any legal config.json, in the released layout. Linear weights have a
// standard deviation near 1/sqrt(inputs) and block scales that differ, so activations stay O(1), routing spreads over
// the experts, and a misplaced scale shows. For benchmarks at real shapes and for tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/checkpoint/config.h"
#include "host/checkpoint/safetensors.h"

namespace nibble {

struct SyntheticOptions {
  uint64_t seed = 1;
  bool fp8_experts = false;     // routed experts in FP8 instead of FP4
  bool f32_floats = false;      // norms, embeddings and gates in F32 instead of BF16
  bool i32_expert_ids = false;  // tid2eid in I32 instead of I64
};

// How the elements of one tensor are drawn.
struct SyntheticValues {
  enum class Kind : uint8_t {
    kNormal,     // BF16 or F32: normal with this mean and deviation
    kFp8Codes,   // e4m3, deviation kFp8CodeDeviation
    kFp4Codes,   // two e2m1 a byte, deviation kFp4CodeDeviation
    kScales,     // e8m0: `exponent` - 1, `exponent` or `exponent` + 1
    kExpertIds,  // I32 or I64 rows of different ids below `experts`
  };
  Kind kind = Kind::kNormal;
  double mean = 0;
  double deviation = 1;
  int exponent = 0;
  uint32_t experts = 0;
};

struct SyntheticTensor {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<uint64_t> shape;
  SyntheticValues values;

  uint64_t bytes() const;
};

// In the order of the model: embedding, layers, head, MTP block.
std::vector<SyntheticTensor> synthetic_tensors(const ModelConfig& config, const SyntheticOptions& options);

}  // namespace nibble
