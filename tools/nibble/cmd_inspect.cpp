// nibble inspect: what a checkpoint holds and whether it is complete; no device is used; weights are read with --deep
// only.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/inventory.h"
#include "host/checkpoint/parts.h"
#include "host/checkpoint/weight_scan.h"
#include "host/checkpoint/weights.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"
#include "runtime/base/mapping_guard.h"
#include "tools/nibble/command.h"
#include "tools/nibble/options.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

constexpr size_t kMaxProblems = 20;

constexpr const char* kJsonHelp =
    "With --json, one object:\n"
    "  model, model_type, complete           directory; always deepseek_v4; whether every weight is there and sound\n"
    "  config                                layers, hidden, vocabulary, context, experts, experts_per_token\n"
    "  shards, missing_shards, bytes         number of files read; names of absent ones; bytes of all tensors\n"
    "  parameters, active_parameters         of the main model: all, and those that one token meets\n"
    "  mtp                                   present, announced (by config.json), ratio, bytes, parameters\n"
    "  kinds                                 experts, shared, attention, embedding, head, other, mtp, unused:\n"
    "                                        each with tensors, bytes, parameters, bytes_by_dtype\n"
    "  layers                                list of layer, attention (window, csa, hca), ratio, routing (hash,\n"
    "                                        score), attention_dtypes, expert_dtypes, bytes, parameters\n"
    "  problems, problem_count               the first 20 problems, one line each; how many there are\n"
    "  unused_tensors                        names that no part of the model reads\n"
    "  not_used                              list of parts that are not computed: name, tensors, bytes,\n"
    "                                        missing_tensors (in files that are not there)\n"
    "  no_numbers                            with --deep: list of tensor, file, nan, infinite, too_large (scales with\n"
    "                                        which products exceed f32)\n"
    "The exit code is 1 when the checkpoint is not complete, or with --deep where a weight is no number.";

struct Flags {
  ModelFlags model;
  bool deep = false;
  bool json = false;
};

// Everything the two forms of output say.
struct Report {
  const Checkpoint& checkpoint;
  Inventory inventory;
  WeightSurvey survey;
  std::vector<Part> not_used;
  bool deep = false;
  std::vector<ReservedCodes> reserved;  // with --deep

  bool complete() const { return survey.problem_count == 0 && checkpoint.missing_shards().empty(); }
  bool mtp_present() const { return checkpoint.has_mtp(); }
  bool mtp_announced() const { return checkpoint.config().announces_mtp(); }
};

// 284334567890 → "284.3 billion"
std::string count_text(uint64_t count) {
  const auto value = static_cast<double>(count);
  if (value >= 1e9) return fmt::format("{:.1f} billion", value * 1e-9);
  if (value >= 1e6) return fmt::format("{:.1f} million", value * 1e-6);
  return fmt::format("{}", count);
}

std::string mtp_text(const Report& report) {
  if (report.mtp_present()) {
    const TensorTotals& totals = report.inventory.by_kind.at("mtp");
    return fmt::format("1 block, {} parameters, {}", count_text(totals.parameters), format_bytes(totals.bytes));
  }
  if (report.checkpoint.draft() == Draft::kMtp) return "one, of which files are missing; not used";
  if (report.checkpoint.draft() == Draft::kDspark) return "none: what lies there is a DSpark head";
  if (report.checkpoint.draft() == Draft::kUnknown) return "none: 'mtp.*' is neither an MTP block nor a DSpark head";
  return report.mtp_announced() ? "none: config.json announces one, but no tensor 'mtp.*' is stored" : "none";
}

std::string overview(const Report& report) {
  const Checkpoint& checkpoint = report.checkpoint;
  const ModelConfig& config = checkpoint.config();
  std::string text;
  text += fmt::format("model       {}\n", printable(checkpoint.directory()));
  text += fmt::format("type        deepseek_v4: {} layers, hidden size {}, vocabulary {}, context {}\n",
                      config.num_hidden_layers, config.hidden_size, config.vocab_size, config.max_position_embeddings);
  text += fmt::format("attention   {} heads of {}, window {}, indexer {} heads of {} picking {}\n",
                      config.num_attention_heads, config.head_dim, config.sliding_window, config.index_n_heads,
                      config.index_head_dim, config.index_topk);
  text += fmt::format("experts     {} routed, {} per token, {} shared\n", config.n_routed_experts,
                      config.num_experts_per_tok, config.n_shared_experts);
  text += fmt::format("parameters  {}, {} of them active per token\n", count_text(report.inventory.parameters),
                      count_text(report.inventory.active_parameters));
  text += fmt::format("mtp         {}\n", mtp_text(report));
  for (const Part& part : report.not_used) text += fmt::format("not used    {}\n", describe(part));
  if (config.extra_ratios() > 1 || (config.extra_ratios() == 1 && !report.mtp_present())) {
    text += fmt::format("not used    compress_ratios: {} entries for {} layers, the last {} belong to none of them\n",
                        config.compress_ratios.size(), config.num_hidden_layers, config.extra_ratios());
  }
  text +=
      fmt::format("files       {} of {}, {}\n", checkpoint.shards().size(),
                  checkpoint.shards().size() + checkpoint.missing_shards().size() + checkpoint.missing_beside().size(),
                  format_bytes(report.inventory.all.bytes));
  text += fmt::format("complete    {}\n", report.complete() ? "yes" : "no");
  return text;
}

std::string layer_table(const Report& report) {
  std::string text = "\nlayer  attention   routing  attention dtypes          expert dtypes         bytes\n";
  uint32_t index = 0;
  for (const LayerInventory& layer : report.inventory.layers) {
    const std::string attention =
        fmt::format("{} {}", attention_kind_name(layer.plan.attention()),
                    layer.plan.compresses() ? layer.plan.ratio : report.checkpoint.config().sliding_window);
    text += fmt::format("{:>5}  {:<10}  {:<7}  {:<24}  {:<13}  {:>12}\n", index++, attention,
                        layer.plan.hash_routed ? "hash" : "score", layer.attention.dtypes(), layer.experts.dtypes(),
                        format_bytes(layer.all.bytes));
  }
  return text;
}

std::string kind_table(const Report& report) {
  const Inventory& inventory = report.inventory;
  std::string text = "\nkind       tensors      parameters         bytes    share  dtypes\n";
  const auto row = [&](std::string_view name, const TensorTotals& totals) {
    const double share = inventory.all.bytes == 0
                             ? 0.0
                             : 100.0 * static_cast<double>(totals.bytes) / static_cast<double>(inventory.all.bytes);
    text += fmt::format("{:<9}  {:>7}  {:>14}  {:>12}  {:>5.1f} %  {}\n", name, totals.tensors,
                        count_text(totals.parameters), format_bytes(totals.bytes), share,
                        totals.tensors == 0 ? "-" : totals.dtypes());
  };
  for (const std::string_view kind : Inventory::kKinds) row(kind, inventory.by_kind.at(kind));
  row("all", inventory.all);
  return text;
}

std::string problem_list(const Report& report) {
  std::string text;
  for (const std::string& name : report.checkpoint.missing_shards()) {
    text += fmt::format("problem: file '{}' is missing\n", printable(name));
  }
  for (const std::string& name : report.checkpoint.missing_beside()) {
    text += fmt::format("note: file '{}' is missing; it holds nothing that is used\n", printable(name));
  }
  for (const std::string& problem : report.survey.problems) text += fmt::format("problem: {}\n", problem);
  const uint64_t more = report.survey.problem_count - report.survey.problems.size();
  if (more > 0) text += fmt::format("and {} more problems\n", more);
  for (const ReservedCodes& codes : report.reserved) text += fmt::format("no number: {}\n", describe(codes));
  return text.empty() ? text : "\n" + text;
}

nlohmann::ordered_json totals_json(const TensorTotals& totals) {
  return {{"tensors", totals.tensors},
          {"bytes", totals.bytes},
          {"parameters", totals.parameters},
          {"bytes_by_dtype", totals.bytes_by_dtype}};
}

nlohmann::ordered_json layers_json(const Report& report) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const LayerInventory& layer : report.inventory.layers) {
    list.push_back({{"layer", list.size()},
                    {"attention", attention_kind_name(layer.plan.attention())},
                    {"ratio", layer.plan.ratio},
                    {"routing", layer.plan.hash_routed ? "hash" : "score"},
                    {"attention_dtypes", layer.attention.dtypes()},
                    {"expert_dtypes", layer.experts.dtypes()},
                    {"bytes", layer.all.bytes},
                    {"parameters", layer.all.parameters}});
  }
  return list;
}

std::string as_json(const Report& report) {
  const Checkpoint& checkpoint = report.checkpoint;
  const ModelConfig& config = checkpoint.config();
  const TensorTotals& mtp = report.inventory.by_kind.at("mtp");
  nlohmann::ordered_json json;
  json["model"] = checkpoint.directory();
  json["model_type"] = "deepseek_v4";
  json["complete"] = report.complete();
  json["config"] = {{"layers", config.num_hidden_layers}, {"hidden", config.hidden_size},
                    {"vocabulary", config.vocab_size},    {"context", config.max_position_embeddings},
                    {"experts", config.n_routed_experts}, {"experts_per_token", config.num_experts_per_tok}};
  json["shards"] = checkpoint.shards().size();
  json["missing_shards"] = checkpoint.missing_shards();
  json["bytes"] = report.inventory.all.bytes;
  json["parameters"] = report.inventory.parameters;
  json["active_parameters"] = report.inventory.active_parameters;
  json["mtp"] = {{"present", report.mtp_present()},
                 {"announced", report.mtp_announced()},
                 {"ratio", config.mtp_plan().ratio},
                 {"bytes", mtp.bytes},
                 {"parameters", mtp.parameters}};
  for (const std::string_view kind : Inventory::kKinds) {
    json["kinds"][std::string(kind)] = totals_json(report.inventory.by_kind.at(kind));
  }
  json["layers"] = layers_json(report);
  json["problems"] = report.survey.problems;
  json["problem_count"] = report.survey.problem_count;
  json["unused_tensors"] = report.survey.unused;
  json["not_used"] = nlohmann::ordered_json::array();
  for (const Part& part : report.not_used) {
    json["not_used"].push_back(
        {{"name", part.name}, {"tensors", part.tensors}, {"bytes", part.bytes}, {"missing_tensors", part.missing}});
  }
  if (report.deep) {
    json["no_numbers"] = nlohmann::ordered_json::array();
    for (const ReservedCodes& codes : report.reserved) {
      json["no_numbers"].push_back({{"tensor", codes.name},
                                    {"file", *codes.file},
                                    {"nan", codes.nan},
                                    {"infinite", codes.infinite},
                                    {"too_large", codes.too_large}});
    }
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void run(const Flags& flags) {
  const Checkpoint checkpoint = Checkpoint::open(flags.model.directory.string(), MissingShards::kReport);
  Report report = {.checkpoint = checkpoint,
                   .inventory = take_inventory(checkpoint),
                   .survey = survey_weights(checkpoint, checkpoint.config(), kMaxProblems),
                   .not_used = {},
                   .deep = flags.deep,
                   .reserved = {}};
  check_mappings();
  report.not_used = parts_not_used(checkpoint, report.survey.unused);
  if (flags.deep) {
    ProgressBar bar("reading weights");
    report.reserved = scan_weights(checkpoint, [&bar](uint64_t done, uint64_t total) { bar.update(done, total); });
  }
  write_stdout(flags.json ? as_json(report)
                          : overview(report) + layer_table(report) + kind_table(report) + problem_list(report));
  if (!checkpoint.missing_shards().empty()) {
    fail(ErrorCode::kInvalidFile, "the model in {} is not complete: {} of its files are missing, '{}' among them",
         checkpoint.directory(), checkpoint.missing_shards().size(), printable(checkpoint.missing_shards().front()));
  }
  if (!report.complete()) {
    fail(ErrorCode::kInvalidFile, "the model in {} is not complete: {} problems, the first: {}", checkpoint.directory(),
         report.survey.problem_count, report.survey.problems.front());
  }
  if (!report.reserved.empty()) {
    fail(ErrorCode::kInvalidFile, "the model in {} has {} tensors with codes that are no numbers, the first: {}",
         checkpoint.directory(), report.reserved.size(), describe(report.reserved.front()));
  }
}

}  // namespace

void add_inspect_command(CLI::App& program) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* const command = program.add_subcommand(
      "inspect", "Show what a checkpoint holds: layers, number formats, bytes by kind, and whether it is complete");
  add_model_flags(*command, flags->model);
  command->add_flag("--deep", flags->deep, "Read every weight, and count codes that are no numbers");
  add_json_flag(*command, flags->json);
  command->footer(std::string("Example:\n  nibble inspect -m DIR --json\n\n") + kJsonHelp);
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
