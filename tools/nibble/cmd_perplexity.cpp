// nibble perplexity: how well a model predicts a text.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "host/text/json_text.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
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
  std::string file;
  uint64_t max_tokens = 0;  // 0: all
  bool window_only = false;
  bool json = false;
};

struct Score {
  double nats = 0;  // -Σ ln p(token | tokens before it in its window)
  uint64_t tokens = 0;
  uint64_t bytes = 0;  // of the scored tokens' text
  double seconds = 0;

  double perplexity() const { return std::exp(nats / static_cast<double>(tokens)); }
  double bits_per_byte() const { return nats / std::log(2.0) / static_cast<double>(bytes); }
};

// -ln softmax(logits)[token], in double.
double negative_log_likelihood(std::span<const float> logits, uint32_t token) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return std::log(sum) + largest - logits[token];
}

// Scores `window` after the begin-of-sentence token, so that its first token is predicted too.
void score_window(Session& session, std::span<const uint32_t> window, const Tokenizer& tokenizer, uint32_t bos,
                  Score& score) {
  std::vector<uint32_t> fed = {bos};
  fed.insert(fed.end(), window.begin(), window.end() - 1);
  session.feed(fed, [&](uint32_t position, std::span<const float> logits) {
    score.nats += negative_log_likelihood(logits, window[position]);
    ++score.tokens;
    score.bytes += tokenizer.token_bytes(window[position]).size();
  });
}

void print(const Flags& flags, const Score& score, uint32_t window, const LoadedModel& loaded) {
  const double speed = static_cast<double>(score.tokens) / score.seconds;
  if (flags.json) {
    const nlohmann::json json = {{"perplexity", score.perplexity()},
                                 {"bits_per_byte", score.bits_per_byte()},
                                 {"tokens", score.tokens},
                                 {"bytes", score.bytes},
                                 {"window", window},
                                 {"numerics", flags.session.numerics},
                                 {"device", loaded.device->info().id},
                                 {"tokens_per_second", speed}};
    write_stdout(json.dump() + "\n");
    return;
  }
  write_stdout(fmt::format("perplexity {:.6g} over {} tokens, {:.4f} bits per byte ({} bytes)\n", score.perplexity(),
                           score.tokens, score.bits_per_byte(), score.bytes));
  say("device   {}\nnumerics {}, windows of {} tokens, {:.1f} tokens/s\n", describe(loaded.device->info()),
      flags.session.numerics, window, speed);
}

void run(const Flags& flags) {
  constexpr size_t kMaxTextBytes = size_t{1} << 30;
  const std::string text = read_text_file(flags.file, kMaxTextBytes);
  const Tokenizer tokenizer = load_tokenizer(flags.model);
  std::vector<uint32_t> tokens = tokenizer.encode(text, /*parse_special=*/false);
  if (flags.max_tokens != 0 && flags.max_tokens < tokens.size()) tokens.resize(flags.max_tokens);
  if (tokens.empty()) fail(ErrorCode::kInvalidFile, "{}: no text to score", flags.file);

  const LoadedModel loaded = load_model(flags.model, flags.device);
  SessionOptions options = session_options(flags.session, loaded.config(), usual_context(loaded.config()));
  options.all_logits = true;
  options.window_only = flags.window_only;
  Score score;
  const auto begin = std::chrono::steady_clock::now();
  if (!loaded.config().bos_token_id) {
    fail(ErrorCode::kUnsupported,
         "{}: no 'bos_token_id' in config.json or generation_config.json, from which the first "
         "token is predicted",
         flags.model.directory.string());
  }
  const std::span<const uint32_t> all = tokens;
  for (size_t at = 0; at < all.size(); at += options.context) {
    const auto window = all.subspan(at, std::min<size_t>(options.context, all.size() - at));
    score_window(*create_session(loaded, options), window, tokenizer, *loaded.config().bos_token_id, score);
  }
  score.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  print(flags, score, options.context, loaded);
  work_is_done(0);
}

}  // namespace

void add_perplexity_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("perplexity", "Measure how well the model predicts a text");
  auto flags = std::make_shared<Flags>();
  add_model_flags(*command, flags->model);
  command->add_option("-f,--file", flags->file, "UTF-8 text to predict")->required()->type_name("TEXT");
  command->add_flag("--window-only", flags->window_only,
                    "Let no token see past the sliding window: what the compressed entries are worth");
  command->add_option("-n,--max-tokens", flags->max_tokens, "Score only the first N tokens")
      ->type_name("N")
      ->check(CLI::Range(1u, UINT32_MAX));
  add_json_flag(*command, flags->json);
  add_session_flags(*command, flags->session);
  add_device_flags(*command, flags->device);
  command->footer(
      "The text is cut into windows of --ctx tokens; each is predicted from a begin-of-sentence token on.\n"
      "Example:\n"
      "  nibble perplexity -m tools/demo/model --file book.txt -d cpu --numerics plain -n 4096");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
