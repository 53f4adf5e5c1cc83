// Builder: what the layers append to. Holds the list, the step's layout and the few operations every layer uses, so
// that the layer files read like the paper. Lives while one program is built.
#pragma once

#include <string>
#include <string_view>

#include "host/kv/kv_cache.h"
#include "host/layers/device_weights.h"
#include "host/layers/program_options.h"
#include "host/layers/step_layout.h"
#include "runtime/core/dispatch_list.h"
#include "runtime/core/x_kind.h"

namespace nibble {

// How many rows an operation works on: tokens (or logit rows) times rows_per_token.
struct Rows {
  uint32_t count_at = kStepTokens;
  uint32_t rows_per_token = 1;
  uint32_t most_tokens = UINT32_MAX;  // fewer where a dispatch works on a few tokens of a chunk
};

struct LinearOptions {
  Rows rows;
  uint32_t y_stride = 0;    // 0: as wide as the matrix has rows
  uint32_t y_offset = 0;    // first output column
  uint32_t group_rows = 0;  // block-diagonal product: rows of one group, which reads its own slice of x
  bool accumulate = false;
};

// What a linear reads, and what its kernel may assume of the values.
struct Activations {
  BufferView view;
  XKind kind = XKind::kFloat;

  Activations(BufferView values, XKind values_kind = XKind::kFloat)  // NOLINT(google-explicit-constructor)
      : view(std::move(values)), kind(values_kind) {}
};

struct NormRope {
  uint32_t cols = 0;
  BufferView weight;  // empty: no weight
  bool norm = true;
  uint32_t rope = 0;     // dims rotated, 0 = none
  uint32_t rope_at = 0;  // step word of the table
  uint32_t ratio = 0;    // != 0: rows are the compressed entries that the chunk completes
  Rows rows;
};

class Builder {
 public:
  Builder(DispatchList& list, const ModelConfig& config, const DeviceInfo& device, const StepLayout& step,
          const ProgramOptions& options, uint32_t max_logits);

  const ModelConfig& config() const { return config_; }
  const StepLayout& step() const { return step_; }
  uint32_t max_tokens() const { return step_.max_tokens; }
  uint32_t max_logits() const { return max_logits_; }
  bool rounds_activations() const { return options_.numerics == Numerics::kReference; }
  bool attends_to_entries() const { return !options_.window_only; }
  uint64_t max_score_bytes() const { return options_.max_score_bytes; }

  // Prefix of the labels of what is added from now on: "layers.3.attn".
  void set_scope(std::string scope) { scope_ = std::move(scope); }

  // f32 [rows of `rows`, cols], as large as the longest chunk needs.
  BufferView temporary(const Rows& rows, uint64_t cols, const std::string& name);
  // u32 words [max_tokens * rows_per_token, words].
  BufferView words(uint64_t rows_per_token, uint64_t words, const std::string& name);
  // u32 words [words], whatever the number of tokens.
  BufferView words_once(uint64_t words, const std::string& name);

  // A kernel with its bindings (without the step) and params, for `rows` of activations.
  void add(const KernelSpec& kernel, std::vector<std::byte> params, std::vector<Binding> bindings,
           const std::string& name, const Rows& rows = {});

  // The kernel of an operation ("gemm", "moe_up") for weights stored so; throws kUnsupported if there is none.
  const KernelSpec& kernel_of(std::string_view operation, WeightFormat format, const std::string& name) const;

  // y = W x, for the stored format of W. x has W.cols columns (times the groups).
  void linear(const DeviceMatrix& w, const Activations& x, const BufferView& y, const std::string& name,
              const LinearOptions& options = {});
  // The same into a new temporary.
  BufferView linear(const DeviceMatrix& w, const Activations& x, const std::string& name,
                    const LinearOptions& options = {});
  // x as a linear with FP8 or FP4 weights reads it: rounded to FP8 in blocks of 128 where the numerics ask for it, else
  // x itself, which the linear may round as it likes where the numerics allow that.
  Activations quantised(const BufferView& x, uint32_t cols, const std::string& name, const Rows& rows = {});
  // RMSNorm and/or rotation of rows into a new temporary.
  BufferView norm_rope(const BufferView& x, const NormRope& options, const std::string& name);
  // Keeps the chunk's last `slots` rows in a ring.
  void commit(const BufferView& rows, const BufferView& ring, uint32_t row_words, uint32_t slots,
              const std::string& name);
  // Embedding rows of the ids at step word `ids_at`, each into `copies` rows of x.
  void embed(const DeviceTable& table, uint32_t ids_at, uint32_t copies, const BufferView& x);

  // Whether a step's experts are worth sorting by a dispatch of its own. Kernels on the host sort for themselves.
  bool tiles_experts() const;

  // Into how many parts a token's attention to `most_entries` entries is cut; 1: none. On a GPU the heads of a few
  // tokens alone would occupy a few of its processors.
  uint32_t attention_parts(uint64_t most_entries) const;

  // Into how many parts the columns of a token's copies are cut for the `sums` sums of a hyper-connection; 1: none.
  uint32_t hyper_connection_parts(uint32_t sums) const;

  // Slabs of each of `slab_bindings` bindings that one dispatch binds beside `others` views: what the device's limits
  // allow, and no more than pays.
  uint32_t slabs_per_dispatch(uint32_t slab_bindings, uint32_t others) const;

 private:
  uint32_t most_rows(const Rows& rows) const;
  // A GPU and no more tokens than leave most of a large one empty with one workgroup a token.
  bool fills_gpu_by_parts() const;

  DispatchList& list_;
  const ModelConfig& config_;
  const DeviceInfo& device_;
  const StepLayout& step_;
  const ProgramOptions& options_;
  uint32_t max_logits_;
  std::string scope_;
};

}  // namespace nibble
