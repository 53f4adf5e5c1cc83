// Checkpoint: a model directory as it is released: config.json, model.safetensors.index.json and its shards; without an
// index, every *.safetensors there. Shards are mapped, weights are never copied. Immutable once open; any thread may
// read it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "host/checkpoint/config.h"
#include "host/checkpoint/safetensors.h"

namespace nibble {

// What to do about a shard that the index names and the directory lacks, where the trunk needs it.
enum class MissingShards {
  kReject,
  kReport,
  kReportCut,  // and take of shards that end early what their headers say; the tensors that are lost have no data
};

// What `mtp.*` holds. The tensors decide: counters in config.json mean one thing in one release and another in the
// next.
enum class Draft : uint8_t {
  kNone,
  kMtp,      // a block with e_proj and h_proj, which nibble computes
  kDspark,   // a DSpark head, known by main_proj; not computed
  kUnknown,  // neither
};

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
  // Those that hold parts of the trunk, and those of which only the header is whole.
  const std::vector<std::string>& missing_shards() const { return missing_shards_; }
  // Those that hold nothing of the trunk, only what lies beside it.
  const std::vector<std::string>& missing_beside() const { return missing_beside_; }
  uint64_t indexed_bytes() const { return indexed_bytes_; }  // metadata.total_size of the index; 0: it says nothing
  bool has_index() const { return has_index_; }

  // By canonical name, e.g. "layers.3.attn.wq_a.scale"; nullptr when there is none. The pointer is valid as long as the
  // checkpoint, also after the checkpoint was moved.
  const TensorView* find(std::string_view name) const;
  // Whether any tensor's canonical name starts with `prefix`.
  bool has_prefix(std::string_view prefix) const;
  size_t tensor_count() const { return tensors_.size(); }
  // All of them, by canonical name.
  const std::map<std::string, const TensorView*, std::less<>>& tensors() const { return tensors_; }
  // Canonical names that the index places in missing shards.
  const std::set<std::string, std::less<>>& missing_tensors() const { return missing_tensors_; }

  Draft draft() const;
  // Whether there is an MTP block and no shard of it is missing.
  bool has_mtp() const;

  // The name this tensor has in the released layout: without a leading "model.", and with ".scale" for the
  // ".weight_scale_inv" that some tools write.
  static std::string canonical_name(std::string_view stored_name);
  // Whether a tensor of this canonical name is needed to compute the next token of a text.
  static bool is_of_trunk(std::string_view name);

 private:
  void open_indexed(const std::string& index, MissingShards missing);
  void note_missing(const std::string& name, const std::vector<std::string>& tensors, const std::string& index,
                    MissingShards missing);
  SafetensorsFile open_shard(const std::string& path, const std::string& name, MissingShards missing);
  void add_shard(SafetensorsFile shard);
  void add_tensor(const TensorView& tensor);
  bool names(std::string_view prefix) const;

  std::string directory_;
  ModelConfig config_;
  std::vector<SafetensorsFile> shards_;
  std::vector<std::string> missing_shards_;
  std::vector<std::string> missing_beside_;
  std::set<std::string, std::less<>> missing_tensors_;
  uint64_t indexed_bytes_ = 0;
  bool has_index_ = false;
  std::vector<TensorView> in_memory_;  // of one without files
  std::shared_ptr<const void> memory_;
  std::map<std::string, const TensorView*, std::less<>> tensors_;  // by canonical name
};

}  // namespace nibble
