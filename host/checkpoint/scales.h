// Block scales that are stored as floats. The model was trained with powers of two, which is what the kernels read, one
// byte (E8M0) each: such values are converted without loss. Any other cannot be kept and is refused.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/checkpoint/safetensors.h"

namespace nibble {

// The scales of one tensor as E8M0, in memory. Does not move: `view` points into `codes`.
struct ConvertedScales {
  explicit ConvertedScales(const TensorView& stored);
  ConvertedScales(const ConvertedScales&) = delete;
  ConvertedScales& operator=(const ConvertedScales&) = delete;

  // "" when every value is a power of two from 2^-127 to 2^127, else which element is not.
  std::string problem;
  std::vector<std::byte> codes;
  TensorView view;  // name, file and shape of what is stored
};

// Whether a dtype can hold such scales: F32 or BF16.
bool is_float_scale(Dtype dtype);

}  // namespace nibble
