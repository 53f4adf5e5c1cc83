// Writes safetensors files and sharded checkpoints for tests: well-formed ones, and through raw_safetensors any
// nonsense one likes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/checkpoint/safetensors.h"

namespace nibble {

// A tensor held in memory. Freely changed between building and writing, which is how tests damage a checkpoint.
struct StoredTensor {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<uint64_t> shape;
  std::string bytes;
};

// The bytes of a file with this header text and data: length, header, data.
std::string raw_safetensors(std::string_view header, std::string_view data);

// The bytes of a file with these tensors, in this order, without padding between them.
std::string safetensors_bytes(const std::vector<StoredTensor>& tensors);

// Writes config.json, the shards (tensors in order, about equally many in each) and the index into `directory`.
// With `shards` 0: one model.safetensors without an index.
void write_checkpoint(const std::string& directory, std::string_view config_json,
                      const std::vector<StoredTensor>& tensors, size_t shards);

// The tensors of a checkpoint on disk, for tests that change one and write it elsewhere.
std::vector<StoredTensor> load_tensors(const SafetensorsFile& file);

}  // namespace nibble
