#include "host/checkpoint/weights.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <unordered_set>

#include <fmt/ranges.h>

#include "host/checkpoint/model_directory.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

uint64_t ceil_div(uint64_t value, uint64_t by) { return (value + by - 1) / by; }

// An extent and where it comes from, for the message when a tensor has another one.
struct Dim {
  uint64_t value;
  const char* from;
};

// Which kinds of storage a matrix may have.
enum class Storage {
  kFloat,  // BF16 or F32
  kF32,
  kFp8,
  kFp8OrBf16,  // the reference's converter writes wo_a so
  kFp4OrFp8,
};

std::optional<WeightFormat> format_of(Dtype dtype, Storage storage) {
  const bool may_be_fp4 = storage == Storage::kFp4OrFp8;
  const bool may_be_fp8 = may_be_fp4 || storage == Storage::kFp8 || storage == Storage::kFp8OrBf16;
  const bool may_be_bf16 = storage == Storage::kFloat || storage == Storage::kFp8OrBf16;
  const bool may_be_f32 = storage == Storage::kFloat || storage == Storage::kF32;
  if (dtype == Dtype::kI8 && may_be_fp4) return WeightFormat::kFp4;
  if (dtype == Dtype::kF8E4M3 && may_be_fp8) return WeightFormat::kFp8;
  if (dtype == Dtype::kF32 && may_be_f32) return WeightFormat::kF32;
  if (dtype == Dtype::kBf16 && may_be_bf16) return WeightFormat::kBf16;
  return std::nullopt;
}

std::string_view dtypes_of(Storage storage) {
  switch (storage) {
    case Storage::kFloat:
      return "BF16 or F32";
    case Storage::kF32:
      return "F32";
    case Storage::kFp8:
      return "F8_E4M3";
    case Storage::kFp8OrBf16:
      return "F8_E4M3 or BF16";
    case Storage::kFp4OrFp8:
      return "I8 (two FP4 values) or F8_E4M3";
  }
  return "";
}

// Finds and checks tensors. Throws at the first problem, or collects them up to a limit and goes on.
class Loader {
 public:
  Loader(const Checkpoint& checkpoint, const ModelConfig& config) : checkpoint_(checkpoint), config_(config) {}
  Loader(const Checkpoint& checkpoint, const ModelConfig& config, WeightSurvey& survey, size_t max_problems)
      : checkpoint_(checkpoint), config_(config), survey_(&survey), max_problems_(max_problems) {}

  ModelWeights model() {
    ModelWeights weights;
    weights.embed = matrix("embed", vocab(), hidden(), Storage::kFloat);
    weights.head = matrix("head", vocab(), hidden(), Storage::kFloat);
    weights.norm = vector("norm.weight", hidden(), Storage::kFloat);
    weights.hc_head = hc_head("");
    for (uint32_t i = 0; i < config_.num_hidden_layers; ++i) {
      weights.layers.push_back(layer(fmt::format("layers.{}.", i), config_.layer_plan(i)));
    }
    require_no_more_layers();
    if (checkpoint_.has_mtp()) weights.mtp = mtp();
    weights.converted = std::move(converted_);
    return weights;
  }

  void list_unused() {
    for (const auto& [name, tensor] : checkpoint_.tensors()) {
      if (!used_.contains(tensor)) survey_->unused.push_back(tensor->name);
    }
  }

 private:
  // ---- The model's parts, in the order of the structs.

  HyperConnectionWeights hc_head(const std::string& prefix) {
    const Dim copies = {config_.hc_mult, "hc_mult"};
    return {.fn = bare_matrix(prefix + "hc_head_fn", copies, streams(), Storage::kF32),
            .base = vector(prefix + "hc_head_base", copies, Storage::kF32),
            .scale = vector(prefix + "hc_head_scale", {1, "the head's one factor"}, Storage::kF32)};
  }

  HyperConnectionWeights hyper_connection(const std::string& prefix) {
    const uint64_t copies = config_.hc_mult;
    const Dim mixes = {copies * (copies + 2), "hc_mult * (hc_mult + 2) ="};
    return {.fn = bare_matrix(prefix + "_fn", mixes, streams(), Storage::kF32),
            .base = vector(prefix + "_base", mixes, Storage::kF32),
            .scale = vector(prefix + "_scale", {3, "the layer's factors:"}, Storage::kF32)};
  }

  LayerWeights layer(const std::string& prefix, const LayerPlan& plan) {
    LayerWeights weights;
    weights.plan = plan;
    weights.attn_norm = vector(prefix + "attn_norm.weight", hidden(), Storage::kFloat);
    weights.ffn_norm = vector(prefix + "ffn_norm.weight", hidden(), Storage::kFloat);
    weights.hc_attn = hyper_connection(prefix + "hc_attn");
    weights.hc_ffn = hyper_connection(prefix + "hc_ffn");
    weights.attn = attention(prefix + "attn.", plan);
    weights.ffn = moe(prefix + "ffn.", plan.hash_routed);
    return weights;
  }

  AttentionWeights attention(const std::string& prefix, const LayerPlan& plan) {
    const Dim q_rank = {config_.q_lora_rank, "q_lora_rank"};
    const Dim head_dim = {config_.head_dim, "head_dim"};
    const uint64_t heads_width = uint64_t{config_.num_attention_heads} * config_.head_dim;
    const Dim queries = {heads_width, "num_attention_heads * head_dim ="};
    const Dim group_width = {heads_width / config_.o_groups, "num_attention_heads * head_dim / o_groups ="};
    const Dim o_rank = {uint64_t{config_.o_groups} * config_.o_lora_rank, "o_groups * o_lora_rank ="};
    AttentionWeights weights;
    weights.wq_a = matrix(prefix + "wq_a", q_rank, hidden(), Storage::kFp8);
    weights.q_norm = vector(prefix + "q_norm.weight", q_rank, Storage::kFloat);
    weights.wq_b = matrix(prefix + "wq_b", queries, q_rank, Storage::kFp8);
    weights.wkv = matrix(prefix + "wkv", head_dim, hidden(), Storage::kFp8);
    weights.kv_norm = vector(prefix + "kv_norm.weight", head_dim, Storage::kFloat);
    weights.wo_a = matrix(prefix + "wo_a", o_rank, group_width, Storage::kFp8OrBf16);
    weights.wo_b = matrix(prefix + "wo_b", hidden(), o_rank, Storage::kFp8);
    weights.attn_sink =
        vector(prefix + "attn_sink", {config_.num_attention_heads, "num_attention_heads"}, Storage::kF32);
    require_plan_of_tensors(prefix, plan);
    if (plan.compresses()) weights.compressor = compressor(prefix + "compressor.", plan, head_dim);
    if (plan.indexed) weights.indexer = indexer(prefix + "indexer.", plan);
    return weights;
  }

  // A config.json of another checkpoint would otherwise leave out what is stored, and compute something else.
  void require_plan_of_tensors(const std::string& prefix, const LayerPlan& plan) {
    const bool compressor = checkpoint_.has_prefix(prefix + "compressor.");
    const bool indexer = checkpoint_.has_prefix(prefix + "indexer.");
    if ((compressor && !plan.compresses()) || (indexer && !plan.indexed)) {
      report(fmt::format("tensors '{}{}.*' are in {}, where the layer's entry of compress_ratios is {}, expected {}",
                         prefix, indexer ? "indexer" : "compressor", checkpoint_.directory(), plan.ratio,
                         indexer ? fmt::format("{}", LayerPlan::kIndexedRatio) : "another than 0"));
    }
  }

  void require_no_more_layers() {
    const std::string next = fmt::format("layers.{}.", config_.num_hidden_layers);
    if (checkpoint_.has_prefix(next)) {
      report(fmt::format("tensors '{}*' are in {}, where num_hidden_layers is {}, expected one for each stored layer",
                         next, checkpoint_.directory(), config_.num_hidden_layers));
    }
  }

  CompressorWeights compressor(const std::string& prefix, const LayerPlan& plan, Dim width) {
    CompressorWeights weights;
    weights.ratio = plan.ratio;
    weights.width = static_cast<uint32_t>(width.value);
    weights.overlap = plan.overlap;
    const std::string doubled = fmt::format("2 * {} =", width.from);
    const Dim columns = weights.overlap ? Dim{2 * width.value, doubled.c_str()} : width;
    weights.wkv = matrix(prefix + "wkv", columns, hidden(), Storage::kFloat);
    weights.wgate = matrix(prefix + "wgate", columns, hidden(), Storage::kFloat);
    weights.norm = vector(prefix + "norm.weight", width, Storage::kFloat);
    weights.ape = bare_matrix(prefix + "ape", {plan.ratio, "compress_ratios entry"}, columns, Storage::kF32);
    return weights;
  }

  IndexerWeights indexer(const std::string& prefix, const LayerPlan& plan) {
    const Dim queries = {uint64_t{config_.index_n_heads} * config_.index_head_dim, "index_n_heads * index_head_dim ="};
    const Dim q_rank = {config_.q_lora_rank, "q_lora_rank"};
    const Dim heads = {config_.index_n_heads, "index_n_heads"};
    return {.wq_b = matrix(prefix + "wq_b", queries, q_rank, Storage::kFp8),
            .weights_proj = matrix(prefix + "weights_proj", heads, hidden(), Storage::kFloat),
            .compressor = compressor(prefix + "compressor.", plan, {config_.index_head_dim, "index_head_dim"})};
  }

  MoeWeights moe(const std::string& prefix, bool hash_routed) {
    const Dim experts = {config_.n_routed_experts, "n_routed_experts"};
    MoeWeights weights;
    weights.gate = matrix(prefix + "gate", experts, hidden(), Storage::kFloat);
    if (hash_routed) {
      weights.tid2eid = expert_table(prefix + "gate.tid2eid");
    } else {
      weights.bias = vector(prefix + "gate.bias", experts, Storage::kF32);
    }
    weights.experts.reserve(config_.n_routed_experts);
    for (uint32_t i = 0; i < config_.n_routed_experts; ++i) {
      weights.experts.push_back(expert(fmt::format("{}experts.{}.", prefix, i), Storage::kFp4OrFp8));
      require_same_format(weights.experts.front(), weights.experts.back());
    }
    weights.shared = expert(prefix + "shared_experts.", Storage::kFp8);
    return weights;
  }

  ExpertWeights expert(const std::string& prefix, Storage storage) {
    const Dim width = {config_.moe_intermediate_size, "moe_intermediate_size"};
    return {.w1 = matrix(prefix + "w1", width, hidden(), storage),
            .w2 = matrix(prefix + "w2", hidden(), width, storage),
            .w3 = matrix(prefix + "w3", width, hidden(), storage)};
  }

  MtpWeights mtp() {
    const std::string prefix = "mtp.0.";
    MtpWeights weights;
    weights.layer = layer(prefix, config_.mtp_plan());
    weights.e_proj = matrix(prefix + "e_proj", hidden(), hidden(), Storage::kFp8);
    weights.h_proj = matrix(prefix + "h_proj", hidden(), hidden(), Storage::kFp8);
    weights.enorm = vector(prefix + "enorm.weight", hidden(), Storage::kFloat);
    weights.hnorm = vector(prefix + "hnorm.weight", hidden(), Storage::kFloat);
    weights.norm = vector(prefix + "norm.weight", hidden(), Storage::kFloat);
    weights.hc_head = hc_head(prefix);
    return weights;
  }

  // ---- Single tensors.

  Dim vocab() const { return {config_.vocab_size, "vocab_size"}; }
  Dim hidden() const { return {config_.hidden_size, "hidden_size"}; }
  Dim streams() const { return {uint64_t{config_.hc_mult} * config_.hidden_size, "hc_mult * hidden_size ="}; }

  // A linear layer `name`.weight, with `name`.scale where the dtype is quantised.
  WeightMatrix matrix(const std::string& name, Dim rows, Dim cols, Storage storage) {
    return checked_matrix(find(name + ".weight"), name + ".scale", {rows, cols}, storage);
  }

  // A matrix that is not a linear layer and whose tensor has the name itself.
  WeightMatrix bare_matrix(const std::string& name, Dim rows, Dim cols, Storage storage) {
    return checked_matrix(find(name), "", {rows, cols}, storage);
  }

  WeightMatrix checked_matrix(const TensorView* weight, const std::string& scale_name, std::array<Dim, 2> dims,
                              Storage storage) {
    const auto [rows, cols] = dims;
    WeightMatrix result = {.format = WeightFormat::kF32, .rows = rows.value, .cols = cols.value, .weight = weight};
    if (weight == nullptr || !check_dtype(*weight, storage, result.format)) {
      mark_used(checkpoint_.find(scale_name));  // one problem, not also a scale that nothing needs
      return result;
    }
    check_shape(*weight, {rows.value, result.format == WeightFormat::kFp4 ? cols.value / 2 : cols.value}, dims);
    if (has_scales(result.format)) {
      const WeightFormatInfo info = format_info(result.format);
      check_scale(result, scale_name, {ceil_div(rows.value, info.scale_rows), ceil_div(cols.value, info.scale_cols)},
                  dims);
    }
    return result;
  }

  void check_scale(WeightMatrix& result, const std::string& name, std::initializer_list<uint64_t> shape,
                   std::span<const Dim> dims) {
    result.scale = find(name);
    if (result.scale == nullptr) return;
    const TensorView& stored = *result.scale;
    if (stored.dtype != Dtype::kF8E8M0 && !is_float_scale(stored.dtype)) {
      problem(stored, "dtype {}, expected F8_E8M0 or, as powers of two, F32", dtype_name(stored.dtype));
    }
    if (!check_shape(stored, shape, dims) || !is_float_scale(stored.dtype)) return;
    converted_.push_back(std::make_unique<const ConvertedScales>(stored));
    if (!converted_.back()->problem.empty()) problem(stored, "{}", converted_.back()->problem);
    result.scale = &converted_.back()->view;
    result.scale_converted = true;
  }

  WeightVector vector(const std::string& name, Dim size, Storage storage) {
    WeightVector result = {.format = WeightFormat::kF32, .size = size.value, .values = find(name)};
    if (result.values == nullptr || !check_dtype(*result.values, storage, result.format)) return result;
    check_shape(*result.values, {size.value}, std::span(&size, 1));
    return result;
  }

  const TensorView* expert_table(const std::string& name) {
    const TensorView* const table = find(name);
    if (table == nullptr) return nullptr;
    if (table->dtype != Dtype::kI64 && table->dtype != Dtype::kI32) {
      problem(*table, "dtype {}, expected I64 or I32", dtype_name(table->dtype));
      return table;
    }
    const std::array<Dim, 2> dims = {vocab(), Dim{config_.num_experts_per_tok, "num_experts_per_tok"}};
    if (!check_shape(*table, {dims[0].value, dims[1].value}, dims)) return table;
    const std::vector<int64_t> ids = read_integers(*table);
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0 || ids[i] >= int64_t{config_.n_routed_experts}) {
        problem(*table, "expert id {} of token {}, allowed 0 to {} from n_routed_experts {}", ids[i],
                i / config_.num_experts_per_tok, config_.n_routed_experts - 1, config_.n_routed_experts);
        break;
      }
    }
    return table;
  }

  // One dispatch reads all experts of a layer, so they share a format.
  void require_same_format(const ExpertWeights& first, const ExpertWeights& expert) {
    for (const WeightMatrix* matrix : {&expert.w1, &expert.w2, &expert.w3}) {
      if (matrix->weight != nullptr && first.w1.weight != nullptr && matrix->format != first.w1.format) {
        problem(*matrix->weight, "dtype {}, expected {} as in '{}'", dtype_name(matrix->weight->dtype),
                dtype_name(first.w1.weight->dtype), printable(first.w1.weight->name));
      }
    }
  }

  // Sets `format` when the dtype is one of those that `storage` allows.
  bool check_dtype(const TensorView& tensor, Storage storage, WeightFormat& format) {
    const std::optional<WeightFormat> found = format_of(tensor.dtype, storage);
    if (found) {
      format = *found;
    } else {
      problem(tensor, "dtype {}, expected {}", dtype_name(tensor.dtype), dtypes_of(storage));
    }
    return found.has_value();
  }

  bool check_shape(const TensorView& tensor, std::initializer_list<uint64_t> expected, std::span<const Dim> dims) {
    if (std::equal(tensor.shape.begin(), tensor.shape.end(), expected.begin(), expected.end())) return true;
    std::vector<std::string> origins;
    for (const Dim& dim : dims) origins.push_back(fmt::format("{} {}", dim.from, dim.value));
    problem(tensor, "shape {}, expected {} from {}", shape_text(tensor.shape),
            shape_text(std::vector<uint64_t>(expected)), fmt::join(origins, ", "));
    return false;
  }

  const TensorView* find(const std::string& name) {
    const TensorView* const tensor = checkpoint_.find(name);
    if (tensor == nullptr) report(fmt::format("tensor '{}' is missing in {}", name, checkpoint_.directory()));
    mark_used(tensor);
    return tensor;
  }

  void mark_used(const TensorView* tensor) {
    if (tensor != nullptr && survey_ != nullptr) used_.insert(tensor);
  }

  template <typename... Args>
  void problem(const TensorView& tensor, fmt::format_string<Args...> format, Args&&... args) {
    report(fmt::format("tensor '{}' in {}: {}", printable(tensor.name), *tensor.file,
                       fmt::format(format, std::forward<Args>(args)...)));
  }

  void report(std::string message) {
    // Of a checkpoint in another layout nearly everything is missing: what it is says more than the first of that.
    if (!reported_) {
      if (std::string layout = why_foreign_names(checkpoint_.tensors()); !layout.empty()) message = std::move(layout);
    }
    reported_ = true;
    if (survey_ == nullptr) throw Error(ErrorCode::kInvalidFile, message);
    if (survey_->problem_count++ < max_problems_) survey_->problems.push_back(std::move(message));
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  WeightSurvey* survey_ = nullptr;  // null: throw at the first problem
  size_t max_problems_ = 0;
  bool reported_ = false;
  std::unordered_set<const TensorView*> used_;  // only for a survey
  std::vector<std::unique_ptr<const ConvertedScales>> converted_;
};

}  // namespace

ModelWeights load_weights(const Checkpoint& checkpoint, const ModelConfig& config) {
  return Loader(checkpoint, config).model();
}

WeightSurvey survey_weights(const Checkpoint& checkpoint, const ModelConfig& config, size_t max_problems) {
  WeightSurvey survey;
  Loader loader(checkpoint, config, survey, max_problems);
  loader.model();
  loader.list_unused();
  return survey;
}

}  // namespace nibble
