#include "host/outline.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "host/synthetic/tensors.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

// Zeros that are only read: the system maps its one page of them again and again.
class ZeroMapping {
 public:
  ZeroMapping(size_t size, std::string announced_by) : size_(size), announced_by_(std::move(announced_by)) {
    data_ = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data_ == MAP_FAILED)
      fail(ErrorCode::kIo, "{}: cannot map {} bytes: {}", announced_by_, size, std::strerror(errno));
  }
  ZeroMapping(const ZeroMapping&) = delete;
  ZeroMapping& operator=(const ZeroMapping&) = delete;
  ~ZeroMapping() { ::munmap(data_, size_); }

  std::span<const std::byte> first(size_t bytes) const { return {static_cast<const std::byte*>(data_), bytes}; }
  const std::string& announced_by() const { return announced_by_; }

 private:
  void* data_ = nullptr;
  size_t size_;
  std::string announced_by_;
};

}  // namespace

Checkpoint outline_checkpoint(const std::string& directory) {
  const std::string path = (std::filesystem::path(directory) / "config.json").string();
  const ModelConfig config = ModelConfig::load(path);
  const std::vector<SyntheticTensor> announced =
      synthetic_tensors(config, {.fp8_experts = config.expert_dtype == "fp8"});
  uint64_t largest = 1;
  for (const SyntheticTensor& tensor : announced) largest = std::max(largest, tensor.bytes());
  const auto zeros = std::make_shared<const ZeroMapping>(largest, path);
  std::vector<TensorView> tensors;
  for (const SyntheticTensor& tensor : announced) {
    tensors.push_back({.name = tensor.name,
                       .dtype = tensor.dtype,
                       .shape = tensor.shape,
                       .data = zeros->first(tensor.bytes()),
                       .file = &zeros->announced_by()});
  }
  return Checkpoint::of_tensors(directory, config, std::move(tensors), zeros);
}

Checkpoint open_or_outline(const std::string& directory, bool& from_config) {
  namespace fs = std::filesystem;
  const fs::path root(directory);
  std::error_code ignored;
  from_config = fs::is_directory(root, ignored) && !fs::exists(root / "model.safetensors.index.json", ignored) &&
                !fs::exists(root / "model.safetensors", ignored);
  if (from_config) return outline_checkpoint(directory);
  Checkpoint checkpoint = Checkpoint::open(directory, MissingShards::kReport);
  from_config = !checkpoint.missing_shards().empty();
  return from_config ? outline_checkpoint(directory) : std::move(checkpoint);
}

}  // namespace nibble
