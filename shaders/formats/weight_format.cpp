#include "shaders/formats/weight_format.h"

#include <vector>

#include "runtime/base/error.h"
#include "runtime/core/kernel_table.h"

namespace nibble {
namespace {

struct FormatTexts {
  std::string_view words;  // in the common subset of the dialects
  std::string_view lanes;  // OpenCL C with vectors
};

FormatTexts texts_of(WeightFormat format) {
  switch (format) {
    case WeightFormat::kFp4:
      return {"formats/fp4/fp4.kernel", "formats/fp4/fp4_lanes.kernel"};
    case WeightFormat::kFp8:
      return {"formats/fp8/fp8.kernel", "formats/fp8/fp8_lanes.kernel"};
    case WeightFormat::kBf16:
      return {"formats/bf16/bf16.kernel", "formats/bf16/bf16_lanes.kernel"};
    case WeightFormat::kF32:
      break;
  }
  return {"formats/f32/f32.kernel", "formats/f32/f32_lanes.kernel"};
}

}  // namespace

const KernelSpec* kernel_for(std::string_view operation, WeightFormat format) {
  const std::string name = fmt::format("{}_{}", operation, format_info(format).name);
  for (const KernelSpec* kernel : kernel_table()) {
    if (kernel->name == name || kernel->name == name + "_f32") return kernel;
  }
  return nullptr;
}

void use_format(KernelSpec& spec, WeightFormat format) {
  const FormatTexts texts = texts_of(format);
  for (Variant& variant : spec.variants) {
    variant.uses.insert(variant.uses.end(), {texts.words, "formats/words.kernel"});
    if (variant.dialect != Dialect::kOpenCl) continue;
    variant.uses.insert(variant.uses.end(), {texts.lanes, "formats/rows.kernel", "formats/panels.kernel"});
  }
}

}  // namespace nibble
