// Checkpoint: a model directory as it is released: config.json, model.safetensors.index.json and its shards, or one
// model.safetensors. Shards are mapped, weights are never copied. Immutable once open; any thread may read it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/config.h"
#include "host/safetensors.h"

namespace nibble {

// What to do about a shard that the index names and the directory lacks.
enum class MissingShards { kReject, kReport };

class Checkpoint {
 public:
  // Errors name the file and the tensor: missing, truncated or damaged shards, an index that contradicts a shard, a
  // tensor stored twice. With kReport, missing shards are listed in missing_shards() instead.
  static Checkpoint open(const std::string& directory, MissingShards missing = MissingShards::kReject);

  // One that lies in memory, in the released layout: `memory` owns what the views point to.
  static Checkpoint of_tensors(const std::string& directory, const ModelConfig& config, std::vector<TensorView> tensors,
                               std::shared_ptr<const void> memory);

  const std::string& directory() const { return directory_; }
  const ModelConfig& config() const { return config_; }
  const std::vector<SafetensorsFile>& shards() const { return shards_; }
  const std::vector<std::string>& missing_shards() const { return missing_shards_; }

  // By canonical name, e.g. "layers.3.attn.wq_a.scale"; nullptr when there is none. The pointer is valid as long as the
  // checkpoint, also after the checkpoint was moved.
  const TensorView* find(std::string_view name) const;
  // Whether any tensor's canonical name starts with `prefix`.
  bool has_prefix(std::string_view prefix) const;
  size_t tensor_count() const { return tensors_.size(); }

  // The name this tensor has in the released layout: without a leading "model.", and with ".scale" for the
  // ".weight_scale_inv" that some tools write.
  static std::string canonical_name(std::string_view stored_name);

 private:
  void add_shard(SafetensorsFile shard);
  void add_tensor(const TensorView& tensor);

  std::string directory_;
  ModelConfig config_;
  std::vector<SafetensorsFile> shards_;
  std::vector<std::string> missing_shards_;
  std::vector<TensorView> in_memory_;  // of one without files
  std::shared_ptr<const void> memory_;
  std::map<std::string, const TensorView*, std::less<>> tensors_;  // by canonical name
};

}  // namespace nibble
