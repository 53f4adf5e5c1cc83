#include "host/checkpoint/config.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <limits>

#include <nlohmann/json.hpp>

#include "host/checkpoint/model_directory.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

using nlohmann::json;

// Released files have 2 KB.
constexpr size_t kMaxConfigBytes = size_t{1} << 20;
// Positions up to 2^24 are exact in f32, in which rope angles are formed.
constexpr uint32_t kMaxPositions = 1u << 24;
constexpr uint32_t kMaxWidth = 65536;
// The least that every device computes with: many take smaller floats for 0. Released models have 1e-20.
constexpr double kMinEps = std::numeric_limits<float>::min();

struct IntRange {
  uint32_t min;
  uint32_t max;
  uint32_t multiple_of = 1;
};

struct RealRange {
  double min;
  double max;
};

// Reads typed fields of one JSON object; every error names the file, the field, what was found and what is allowed.
class Fields {
 public:
  Fields(const json& object, std::string source, std::string prefix = "")
      : object_(object), source_(std::move(source)), prefix_(std::move(prefix)) {}

  uint32_t integer(const char* name, IntRange range) const {
    const std::string allowed =
        fmt::format("an integer from {} to {}{}", range.min, range.max,
                    range.multiple_of > 1 ? fmt::format(", multiple of {}", range.multiple_of) : "");
    return checked_integer(name, require(name, allowed), range, allowed);
  }

  std::vector<uint32_t> integers(const char* name, IntRange range) const {
    const std::string allowed = fmt::format("a list of integers from {} to {}", range.min, range.max);
    const json& list = require(name, allowed);
    if (!list.is_array()) reject(name, list, allowed);
    std::vector<uint32_t> values;
    for (size_t i = 0; i < list.size(); ++i) {
      values.push_back(checked_integer(fmt::format("{}[{}]", name, i), list[i], range, allowed));
    }
    return values;
  }

  // One number or a list of them; nothing where the field is missing or null.
  std::vector<uint32_t> integer_or_list(const char* name, IntRange range) const {
    const json* value = find(name);
    if (value == nullptr) return {};
    if (value->is_array()) return integers(name, range);
    return {integer(name, range)};
  }

  double real(const char* name, RealRange range) const {
    const std::string allowed = fmt::format("a number from {:g} to {:g}", range.min, range.max);
    const json& value = require(name, allowed);
    if (!value.is_number()) reject(name, value, allowed);
    const double number = value.get<double>();
    if (!(number >= range.min && number <= range.max)) reject(name, value, allowed);
    return number;
  }

  // A field whose absence means `wanted`, and for which nibble computes nothing else.
  void only(const char* name, const json& wanted) const {
    const auto found = object_.find(name);
    if (found == object_.end() || found->is_null() || *found == wanted) return;
    fail(ErrorCode::kUnsupported, "{}: field '{}{}': found {}, supported {}", source_, prefix_, name,
         json_excerpt(*found), json_excerpt(wanted));
  }

  void require_only(const char* name, const json& wanted) const {
    require(name, json_excerpt(wanted));
    only(name, wanted);
  }

  const json* find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  [[noreturn]] void reject(const std::string& name, const json& found, const std::string& allowed) const {
    fail(ErrorCode::kInvalidFile, "{}: field '{}{}': found {}, allowed {}", source_, prefix_, name, json_excerpt(found),
         allowed);
  }

 private:
  const json& require(const char* name, const std::string& allowed) const {
    const auto found = object_.find(name);
    if (found == object_.end()) {
      fail(ErrorCode::kInvalidFile, "{}: field '{}{}' is missing, allowed {}", source_, prefix_, name, allowed);
    }
    return *found;
  }

  uint32_t checked_integer(const std::string& name, const json& value, IntRange range,
                           const std::string& allowed) const {
    if (!value.is_number_integer()) reject(name, value, allowed);
    // Values above INT64_MAX are stored unsigned; asked as signed they would wrap.
    if (!value.is_number_unsigned() && value.get<int64_t>() < 0) reject(name, value, allowed);
    const uint64_t number = value.get<uint64_t>();
    if (number < range.min || number > range.max || number % range.multiple_of != 0) reject(name, value, allowed);
    return static_cast<uint32_t>(number);
  }

  const json& object_;
  const std::string source_;
  const std::string prefix_;
};

// Files of other tools lack what is asked for below: that they are such files says more than the first missing field.
void reject_other_layouts(const Fields& fields, const std::string& source) {
  constexpr std::string_view kWanted = "download the model in DeepSeek's own layout";
  for (const char* field : {"layer_types", "mlp_layer_types", "compress_rates"}) {
    if (fields.find(field) == nullptr) continue;
    fail(ErrorCode::kUnsupported, "{}: field '{}' is of a checkpoint saved by the transformers library; {}", source,
         field, kWanted);
  }
  const json* const quantization = fields.find("quantization_config");
  if (quantization == nullptr || !quantization->is_object() || !quantization->contains("quant_method")) return;
  static constexpr std::pair<std::string_view, std::string_view> kMethods[] = {
      {"awq", "AWQ"},
      {"gptq", "GPTQ"},
      {"auto-round", "AutoRound"},
      {"compressed-tensors", "compressed-tensors"},
      {"modelopt", "ModelOpt (NVFP4)"},
      {"modelopt_fp4", "ModelOpt (NVFP4)"},
      {"exl3", "EXL3"},
      {"bitsandbytes", "bitsandbytes"}};
  for (const auto& [method, name] : kMethods) {
    if (quantization->at("quant_method") != method) continue;
    fail(ErrorCode::kUnsupported,
         "{}: field 'quantization_config.quant_method': found \"{}\", weights quantised by {}; {}", source, method,
         name, kWanted);
  }
}

// Where the keys are of other attention than this model's they must agree with its head_dim.
void require_head_widths(const Fields& fields, const ModelConfig& config) {
  fields.only("v_head_dim", config.head_dim);
  fields.only("qk_nope_head_dim", config.head_dim - config.qk_rope_head_dim);
  fields.only("qk_head_dim", config.head_dim);
}

void require_supported_model(const Fields& fields, const std::string& source) {
  reject_other_layouts(fields, source);
  fields.require_only("model_type", "deepseek_v4");
  fields.require_only("scoring_func", "sqrtsoftplus");
  fields.require_only("hidden_act", "silu");
  fields.only("topk_method", "noaux_tc");
  fields.only("norm_topk_prob", true);
  fields.only("num_key_value_heads", 1);
  fields.only("attention_bias", false);
  fields.only("tie_word_embeddings", false);
  fields.only("mlp_bias", false);
  fields.only("rope_interleave", true);
  // Of V3 and its kin: groups of experts, dense layers, keys and values of other widths.
  fields.only("n_group", 1);
  fields.only("topk_group", 1);
  fields.only("first_k_dense_replace", 0);
  fields.only("moe_layer_freq", 1);
  fields.only("kv_lora_rank", nullptr);
  fields.only("logit_softcapping", nullptr);
  fields.only("final_logit_softcapping", nullptr);
  fields.only("attn_logit_softcapping", nullptr);
  if (const json* quantization = fields.find("quantization_config")) {
    if (!quantization->is_object()) fields.reject("quantization_config", *quantization, "an object");
    const Fields inner(*quantization, source, "quantization_config.");
    inner.only("quant_method", "fp8");
    inner.only("fmt", "e4m3");
    inner.only("activation_scheme", "dynamic");
    inner.only("scale_fmt", "ue8m0");
    inner.only("weight_block_size", json::array({128, 128}));
  }
}

void read_attention(const Fields& fields, ModelConfig& config) {
  config.num_attention_heads = fields.integer("num_attention_heads", {.min = 1, .max = 4096});
  config.head_dim = fields.integer("head_dim", {.min = 32, .max = 4096, .multiple_of = 16});
  config.qk_rope_head_dim =
      fields.integer("qk_rope_head_dim", {.min = 2, .max = config.head_dim - 16, .multiple_of = 2});
  if ((config.head_dim - config.qk_rope_head_dim) % 16 != 0) {
    fields.reject("qk_rope_head_dim", config.qk_rope_head_dim,
                  fmt::format("values with head_dim {} - qk_rope_head_dim a multiple of 16", config.head_dim));
  }
  require_head_widths(fields, config);
  config.q_lora_rank = fields.integer("q_lora_rank", {.min = 16, .max = kMaxWidth, .multiple_of = 16});
  config.o_groups = fields.integer("o_groups", {.min = 1, .max = config.num_attention_heads});
  if (config.num_attention_heads % config.o_groups != 0) {
    fields.reject("o_groups", config.o_groups,
                  fmt::format("a divisor of num_attention_heads {}", config.num_attention_heads));
  }
  config.o_lora_rank = fields.integer("o_lora_rank", {.min = 1, .max = kMaxWidth});
  if (uint64_t{config.o_groups} * config.o_lora_rank % 16 != 0) {
    fields.reject("o_lora_rank", config.o_lora_rank,
                  fmt::format("values with o_groups {} * o_lora_rank a multiple of 16", config.o_groups));
  }
  config.sliding_window = fields.integer("sliding_window", {.min = 1, .max = 1u << 20});
}

void read_indexer(const Fields& fields, ModelConfig& config) {
  config.index_n_heads = fields.integer("index_n_heads", {.min = 1, .max = 1024});
  config.index_head_dim = fields.integer("index_head_dim", {.min = 32, .max = 1024});
  if (!std::has_single_bit(config.index_head_dim) || config.index_head_dim < config.qk_rope_head_dim) {
    fields.reject("index_head_dim", config.index_head_dim,
                  fmt::format("a power of two of at least qk_rope_head_dim {}", config.qk_rope_head_dim));
  }
  config.index_topk = fields.integer("index_topk", {.min = 1, .max = 1u << 20});
}

void read_experts(const Fields& fields, ModelConfig& config) {
  config.n_routed_experts = fields.integer("n_routed_experts", {.min = 1, .max = 4096});
  config.num_experts_per_tok = fields.integer("num_experts_per_tok", {.min = 1, .max = config.n_routed_experts});
  config.n_shared_experts = fields.integer("n_shared_experts", {.min = 1, .max = 1});
  config.moe_intermediate_size =
      fields.integer("moe_intermediate_size", {.min = 32, .max = kMaxWidth, .multiple_of = 32});
  config.num_hash_layers = fields.integer("num_hash_layers", {.min = 0, .max = config.num_hidden_layers});
  config.routed_scaling_factor = static_cast<float>(fields.real("routed_scaling_factor", {.min = 1e-6, .max = 1e6}));
  const double limit = fields.real("swiglu_limit", {.min = 0.0, .max = 1e6});
  config.swiglu_limit = limit == 0.0 ? std::numeric_limits<float>::max() : static_cast<float>(limit);
  if (const json* dtype = fields.find("expert_dtype")) {
    if (*dtype != "fp4" && *dtype != "fp8") fields.reject("expert_dtype", *dtype, "\"fp4\" or \"fp8\"");
    config.expert_dtype = dtype->get<std::string>();
  }
}

// What lies beside the trunk is read from the tensors: here only what the trunk needs can be wrong.
void read_speculation(const Fields& fields, const json& document, ModelConfig& config) {
  config.num_nextn_predict_layers = fields.find("num_nextn_predict_layers") == nullptr
                                        ? 0
                                        : fields.integer("num_nextn_predict_layers", {.min = 0, .max = 1024});
  for (const auto& [name, value] : document.items()) {
    if (name.starts_with("dspark_")) config.has_dspark_keys = true;
  }
}

void read_ratios(const Fields& fields, ModelConfig& config) {
  config.compress_ratios = fields.integers("compress_ratios", {.min = 0, .max = 1u << 20});
  // Released files carry one more for an MTP block, or one for each stage of a DSpark head.
  const size_t layers = config.num_hidden_layers;
  if (config.compress_ratios.size() < layers) {
    fields.reject("compress_ratios", fmt::format("{} entries", config.compress_ratios.size()),
                  fmt::format("at least one for each of num_hidden_layers {}", layers));
  }
}

void read_rope(const Fields& fields, const std::string& source, ModelConfig& config) {
  // The formulas divide by ln(base).
  constexpr RealRange kBase = {.min = 1.001, .max = 1e15};
  config.rope_theta = fields.real("rope_theta", kBase);
  config.compress_rope_theta = fields.real("compress_rope_theta", kBase);
  const json* scaling = fields.find("rope_scaling");
  const auto layers_end = config.compress_ratios.begin() + config.num_hidden_layers;
  bool any_compressed = config.announces_mtp() && config.mtp_plan().compresses();
  any_compressed =
      any_compressed || std::any_of(config.compress_ratios.begin(), layers_end, [](uint32_t r) { return r != 0; });
  if (scaling == nullptr) {
    if (any_compressed) {
      fields.reject("rope_scaling", nullptr, "an object with type \"yarn\": some compress_ratios are not 0");
    }
    config.yarn.original_max_position_embeddings = config.max_position_embeddings;
    return;
  }
  if (!scaling->is_object()) fields.reject("rope_scaling", *scaling, "an object");
  const Fields inner(*scaling, source, "rope_scaling.");
  inner.require_only(inner.find("type") == nullptr && inner.find("rope_type") != nullptr ? "rope_type" : "type",
                     "yarn");
  // The published computation scales neither logits nor rotary tables; null and 1 mean that it does not.
  inner.only("mscale", 1.0);
  inner.only("mscale_all_dim", 1.0);
  inner.only("attention_factor", 1.0);
  config.yarn.factor = inner.real("factor", {.min = 1.0, .max = 1e6});
  config.yarn.original_max_position_embeddings =
      inner.integer("original_max_position_embeddings", {.min = 1, .max = kMaxPositions});
  config.yarn.beta_slow = inner.real("beta_slow", {.min = 1e-6, .max = 1e6});
  config.yarn.beta_fast = inner.real("beta_fast", {.min = config.yarn.beta_slow, .max = 1e6});
}

// Both may be missing or null, and both may be lists: of one, for a text has one beginning, or of several ends.
void read_text_ends(const Fields& fields, ModelConfig& config) {
  const IntRange range = {.min = 0, .max = config.vocab_size - 1};
  const std::vector<uint32_t> begins = fields.integer_or_list("bos_token_id", range);
  if (begins.size() > 1) {
    fields.reject("bos_token_id", fmt::format("{} tokens", begins.size()), "one token, with which texts begin");
  }
  if (!begins.empty() && !config.bos_token_id) config.bos_token_id = begins.front();
  for (const uint32_t id : fields.integer_or_list("eos_token_id", range)) {
    std::vector<uint32_t>& ends = config.eos_token_ids;
    if (std::find(ends.begin(), ends.end(), id) == ends.end()) ends.push_back(id);
  }
}

void add_generation_config(const std::string& path, ModelConfig& config) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return;
  const json document = parse_json(read_text_file(path, kMaxConfigBytes), path, {.max_bytes = kMaxConfigBytes});
  if (!document.is_object()) {
    fail(ErrorCode::kInvalidFile, "{}: found {}, expected a JSON object", path, json_excerpt(document));
  }
  read_text_ends(Fields(document, path), config);
}

}  // namespace

std::string_view attention_kind_name(AttentionKind kind) {
  switch (kind) {
    case AttentionKind::kWindow:
      return "window";
    case AttentionKind::kCsa:
      return "csa";
    case AttentionKind::kHca:
      return "hca";
  }
  return "unknown";
}

AttentionKind LayerPlan::attention() const {
  if (!compresses()) return AttentionKind::kWindow;
  return indexed ? AttentionKind::kCsa : AttentionKind::kHca;
}

LayerPlan LayerPlan::of_ratio(uint32_t ratio) {
  const bool is_csa = ratio == kIndexedRatio;
  return {.ratio = ratio, .overlap = is_csa, .indexed = is_csa};
}

LayerPlan ModelConfig::layer_plan(uint32_t layer) const {
  LayerPlan plan = LayerPlan::of_ratio(compress_ratios[layer]);
  plan.hash_routed = layer < num_hash_layers;
  return plan;
}

ModelConfig ModelConfig::load(const std::string& path) {
  ModelConfig config = parse(read_model_text(path, kMaxConfigBytes), path);
  add_generation_config((std::filesystem::path(path).parent_path() / "generation_config.json").string(), config);
  return config;
}

ModelConfig ModelConfig::parse(std::string_view text, const std::string& source) {
  const json document = parse_json(text, source, {.max_bytes = kMaxConfigBytes});
  if (!document.is_object())
    fail(ErrorCode::kInvalidFile, "{}: found {}, expected a JSON object", source, json_excerpt(document));
  const Fields fields(document, source);
  require_supported_model(fields, source);
  ModelConfig config;
  config.vocab_size = fields.integer("vocab_size", {.min = 1, .max = 1u << 24});
  config.hidden_size = fields.integer("hidden_size", {.min = 32, .max = kMaxWidth, .multiple_of = 32});
  config.num_hidden_layers = fields.integer("num_hidden_layers", {.min = 1, .max = 1024});
  config.max_position_embeddings = fields.integer("max_position_embeddings", {.min = 1, .max = kMaxPositions});
  read_attention(fields, config);
  read_indexer(fields, config);
  read_experts(fields, config);
  config.hc_mult = fields.integer("hc_mult", {.min = 1, .max = 8});
  config.hc_sinkhorn_iters = fields.integer("hc_sinkhorn_iters", {.min = 1, .max = 1000});
  config.hc_eps = static_cast<float>(fields.real("hc_eps", {.min = 0.0, .max = 1.0}));
  config.rms_norm_eps = static_cast<float>(fields.real("rms_norm_eps", {.min = kMinEps, .max = 1.0}));
  read_speculation(fields, document, config);
  read_ratios(fields, config);
  read_rope(fields, source, config);
  read_text_ends(fields, config);
  return config;
}

}  // namespace nibble
