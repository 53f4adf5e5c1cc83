#include "host/synthetic/memory_checkpoint.h"

#include <memory>

#include "host/synthetic/values.h"

namespace nibble {
namespace {

struct Storage {
  std::string name = "synthetic weights";
  std::vector<std::byte> bytes;
};

// Tensors begin at multiples of this, as those of well-written files do.
constexpr uint64_t kAlignment = 64;

}  // namespace

Checkpoint synthetic_checkpoint(const ModelConfig& config, const SyntheticOptions& options) {
  const std::vector<SyntheticTensor> tensors = synthetic_tensors(config, options);
  uint64_t total = 0;
  for (const SyntheticTensor& tensor : tensors) total += (tensor.bytes() + kAlignment - 1) / kAlignment * kAlignment;
  const auto storage = std::make_shared<Storage>();
  storage->bytes.resize(total);
  std::vector<TensorView> views;
  uint64_t at = 0;
  for (const SyntheticTensor& tensor : tensors) {
    const auto bytes = std::span(storage->bytes).subspan(at, tensor.bytes());
    SyntheticBytes(tensor, options.seed).fill(bytes);
    views.push_back(
        {.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape, .data = bytes, .file = &storage->name});
    at += (tensor.bytes() + kAlignment - 1) / kAlignment * kAlignment;
  }
  return Checkpoint::of_tensors(storage->name, config, std::move(views), storage);
}

}  // namespace nibble
