// nibble logits: the model's raw output for given token ids, for comparison with other programs.
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "host/checkpoint/npy.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"
#include "tools/nibble/command.h"
#include "tools/nibble/loading.h"
#include "tools/nibble/program_end.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

struct Flags {
  ModelFlags model;
  DeviceFlags device;
  SessionFlags session;
  std::string tokens;
  uint32_t prefill = 0;  // 0: all
  std::string out;
  std::string mtp_out;
};

// A JSON list of ids, or {"tokens": [ids]}.
std::vector<uint32_t> read_tokens(const std::string& path) {
  const nlohmann::json json = parse_json(read_text_file(path, JsonLimits{}.max_bytes), path);
  const bool wrapped = json.is_object() && json.contains("tokens");
  const nlohmann::json& list = wrapped ? json["tokens"] : json;
  if (!list.is_array()) {
    fail(ErrorCode::kInvalidFile, "{}: expected a list of token ids or {{\"tokens\": [ids]}}, found {}", path,
         json_excerpt(json));
  }
  std::vector<uint32_t> tokens;
  for (const nlohmann::json& item : list) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > UINT32_MAX) {
      fail(ErrorCode::kInvalidFile, "{}: item {} is {}, expected a token id", path, tokens.size(), json_excerpt(item));
    }
    tokens.push_back(item.get<uint32_t>());
  }
  if (tokens.empty()) fail(ErrorCode::kInvalidFile, "{}: no tokens", path);
  return tokens;
}

void check_ids(const std::vector<uint32_t>& tokens, const std::string& path, const ModelConfig& config) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= config.vocab_size) {
      fail(ErrorCode::kUsage, "{}: item {} is token {}, but the model's vocabulary has {}", path, i, tokens[i],
           config.vocab_size);
    }
  }
}

// What would fail at the end of the work fails before it.
void check_outputs(const Flags& flags) {
  for (const std::string& path : {flags.out, flags.mtp_out}) {
    if (!path.empty()) require_output(path, {flags.tokens, flags.model.directory}, kNpyMagic);
  }
  if (!flags.mtp_out.empty() && follow_links(flags.out) == follow_links(flags.mtp_out)) {
    fail(ErrorCode::kUsage, "--out and --mtp are one file, {}: give each its own", flags.out);
  }
}

void run(const Flags& flags) {
  const std::vector<uint32_t> tokens = read_tokens(flags.tokens);
  const size_t prefill = flags.prefill == 0 ? tokens.size() : flags.prefill;
  if (prefill > tokens.size()) {
    fail(ErrorCode::kUsage, "--prefill {}: {} has only {} tokens", prefill, flags.tokens, tokens.size());
  }
  check_outputs(flags);
  const LoadedModel loaded = load_model(flags.model, flags.device);
  const ModelConfig& config = loaded.config();
  check_ids(tokens, flags.tokens, config);
  if (!flags.mtp_out.empty() && !loaded.model->has_mtp()) {
    fail(ErrorCode::kUsage, "--mtp: the model in {} has no MTP block", flags.model.directory.string());
  }
  SessionOptions options = session_options(flags.session, config, static_cast<uint32_t>(tokens.size()));
  options.mtp = !flags.mtp_out.empty();
  if (tokens.size() > options.context) {
    fail(ErrorCode::kUsage, "{}: {} tokens do not fit a context of {} positions (--ctx)", flags.tokens, tokens.size(),
         options.context);
  }
  const auto session = create_session(loaded, options);

  const InterruptGuard interrupt(std::chrono::seconds(0));
  const size_t remaining = tokens.size() - prefill;
  NpyWriter out(flags.out, std::array<uint64_t, 2>{1 + remaining, config.vocab_size});
  // The row of position i appears when token i+1 is fed: the first wanted one is that of the last prompt position.
  std::optional<NpyWriter> mtp_out;
  if (options.mtp) {
    mtp_out.emplace(flags.mtp_out, std::array<uint64_t, 2>{remaining, config.vocab_size});
    session->set_mtp_sink([&](uint32_t position, std::span<const float> logits) {
      if (position + 1 >= prefill) mtp_out->append(logits);
    });
  }
  const LogitsSink sink = [&out](uint32_t, std::span<const float> logits) { out.append(logits); };
  const std::span<const uint32_t> all = tokens;
  session->feed(all.first(prefill), sink);
  for (size_t i = prefill; i < tokens.size(); ++i) session->feed(all.subspan(i, 1), sink);
  out.close();
  if (mtp_out) mtp_out->close();
  work_is_done(0);
}

}  // namespace

void add_logits_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("logits", "Write the logits for given token ids to a .npy file");
  auto flags = std::make_shared<Flags>();
  add_model_flags(*command, flags->model);
  command->add_option("--tokens", flags->tokens, "JSON list of token ids, or {\"tokens\": [ids]}")
      ->required()
      ->type_name("FILE");
  command->add_option("--prefill", flags->prefill, "Feed the first N at once and the rest one by one (default: all)")
      ->type_name("N")
      ->check(CLI::Range(1u, UINT32_MAX));
  command
      ->add_option("--out", flags->out,
                   "float32 [1 + remaining, vocab]: the logits after the prefill and after each further token")
      ->required()
      ->type_name("FILE.npy");
  command
      ->add_option("--mtp", flags->mtp_out,
                   "Also write the MTP block's logits, float32 [remaining, vocab]; row i predicts the token after "
                   "the (i+1)-th one fed singly")
      ->type_name("FILE.npy");
  add_session_flags(*command, flags->session);
  add_device_flags(*command, flags->device);
  command->footer(
      "Example:\n"
      "  echo '[5, 17, 99, 4, 8]' > ids.json\n"
      "  nibble logits -m DIR -d cpu --tokens ids.json --prefill 3 --out logits.npy --numerics plain");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
