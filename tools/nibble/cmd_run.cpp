// nibble run: continues a text.
#include <algorithm>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "host/kv/session_file.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "tools/nibble/command.h"
#include "tools/nibble/generation.h"
#include "tools/nibble/loading.h"
#include "tools/nibble/program_end.h"
#include "tools/nibble/session_note.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

struct Flags {
  ModelFlags model;
  DeviceFlags device;
  SessionFlags session;
  SamplerFlags sampler;
  std::string prompt;
  std::string prompt_file;
  std::string load;
  std::string save;
  uint32_t max_tokens = 0;
  bool show_special = false;
  bool json = false;
};

std::string read_prompt(const Flags& flags) {
  if (flags.prompt_file.empty()) return flags.prompt;
  if (flags.prompt_file == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  constexpr size_t kMaxPromptBytes = size_t{64} << 20;
  return read_text_file(flags.prompt_file, kMaxPromptBytes);
}

// The model was trained on texts that start with the begin-of-sentence token; `nibble encode` writes it itself.
std::vector<uint32_t> prompt_ids(const std::string& prompt, const Tokenizer& tokenizer, std::optional<uint32_t> bos) {
  std::vector<uint32_t> ids = tokenizer.encode(prompt);
  if (bos && (ids.empty() || ids.front() != *bos)) ids.insert(ids.begin(), *bos);
  if (ids.empty()) {
    fail(ErrorCode::kUsage,
         "nothing to continue: the model names no 'bos_token_id' to begin a text with; give a prompt");
  }
  return ids;
}

// The text of a session that was saved, as far as it was not fed, and what the user adds.
std::vector<uint32_t> continued_ids(const std::string& prompt, const Tokenizer& tokenizer, const SessionNote& note,
                                    const std::string& path) {
  std::vector<uint32_t> ids = note.unread;
  const std::vector<uint32_t> more = tokenizer.encode(prompt);
  ids.insert(ids.end(), more.begin(), more.end());
  if (ids.empty()) fail(ErrorCode::kUsage, "{}: its text has ended; say what follows with -p or -f", path);
  return ids;
}

nlohmann::json to_json(const GenerationResult& result, const std::string& text, const LoadedModel& loaded,
                       const Session& session) {
  return {{"text", text},
          {"tokens", result.tokens},
          {"stop", name_of(result.stop)},
          {"device", loaded.device->info().id},
          {"device_name", loaded.device->info().name},
          {"kernels", session.variants()},
          {"numerics", name_of(session.options().numerics)},
          {"kv_full_bytes",
           {{"device", session.kv_tier_bytes().device},
            {"host", session.kv_tier_bytes().host},
            {"file", session.kv_tier_bytes().file}}},
          {"prefill",
           {{"tokens", result.prompt_tokens},
            {"seconds", result.prefill_seconds},
            {"tokens_per_second", result.prefill_speed()}}},
          {"decode",
           {{"tokens", result.decode_steps},
            {"seconds", result.decode_seconds},
            {"tokens_per_second", result.decode_speed()}}}};
}

void print_report(const GenerationResult& result, const LoadedModel& loaded, const Session& session) {
  say("device   {}\n", describe(loaded.device->info()));
  say("kernels  {}\n", fmt::join(session.variants(), " "));
  const KvTierBytes kv = session.kv_tier_bytes();
  if (kv.host + kv.file != 0) {
    say("kv cache {}: slower than all of it on the device\n", describe(kv));
  }
  say("prefill  {} tokens, {:.1f} tokens/s\n", result.prompt_tokens, result.prefill_speed());
  say("decode   {} tokens, {:.1f} tokens/s; stopped: {}\n", result.tokens.size(), result.decode_speed(),
      name_of(result.stop));
}

// What was sampled last is not fed when the text was cut, nor is the rest of a prompt whose reading was.
std::vector<uint32_t> unread_of(const GenerationResult& result, std::span<const uint32_t> prompt) {
  std::vector<uint32_t> unread(prompt.begin() + static_cast<ptrdiff_t>(result.prompt_tokens), prompt.end());
  const size_t fed = std::min(result.decode_steps, result.tokens.size());
  unread.insert(unread.end(), result.tokens.begin() + static_cast<ptrdiff_t>(fed), result.tokens.end());
  return unread;
}

// After the text is out, so that a disk that is full by now costs the file and not the text.
void save(Session& session, const std::string& path, const SessionNote& note) {
  try {
    session.save(path, to_text(note));
  } catch (const Error& error) {
    fail(error.code(), "{}; the text is whole, its session is not saved: run again with another --save", error.what());
  }
}

void run(const Flags& flags) {
  const std::string prompt = read_prompt(flags);
  // A place where nothing can be written is better known before the work than after.
  if (!flags.save.empty()) SessionFileWriter{flags.save};
  const Tokenizer tokenizer = load_tokenizer(flags.model);
  const LoadedModel loaded = load_model(flags.model, flags.device);
  const ModelConfig& config = loaded.config();
  const SessionOptions options = session_options(flags.session, config, usual_context(config));
  std::string note_text;
  const auto session =
      flags.load.empty() ? create_session(loaded, options) : load_session(loaded, options, flags.load, note_text);
  const SessionNote note = parse_session_note(note_text, flags.load, config.vocab_size);
  const std::vector<uint32_t> ids = flags.load.empty() ? prompt_ids(prompt, tokenizer, config.bos_token_id)
                                                       : continued_ids(prompt, tokenizer, note, flags.load);
  Sampler sampler(flags.sampler.options);
  resume(sampler, note.sampler, flags.sampler.seed_given);
  // Without a file to save there is nothing to lose: a second Ctrl-C may end the program at once.
  InterruptGuard interrupt(flags.save.empty() ? std::chrono::seconds(0) : kInterruptPatience);
  std::string text;
  const auto show = [&](std::string_view piece) {
    text += piece;
    if (!flags.json) write_stdout(piece);
    return !interrupt.interrupted();
  };
  const ControlTokens control(tokenizer, config.eos_token_ids);
  const GenerationResult result =
      generate({.session = *session, .tokenizer = tokenizer, .control = control, .sampler = sampler},
               {.prompt = ids, .max_tokens = flags.max_tokens, .show_special = flags.show_special}, show);
  if (flags.show_special && result.last_token) show(tokenizer.token_bytes(*result.last_token));
  write_stdout(flags.json ? to_json(result, text, loaded, *session).dump() + "\n" : "\n");
  if (!flags.json) print_report(result, loaded, *session);
  if (!flags.save.empty()) {
    interrupt.hold();
    save(*session, flags.save, {.unread = unread_of(result, ids), .sampler = sampler.state(), .chat = nullptr});
    if (interrupt.interrupted()) say("interrupted; {} holds {} tokens\n", flags.save, session->position());
  }
  if (interrupt.interrupted()) throw Interrupted{};
  work_is_done(0);
}

}  // namespace

void add_run_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("run", "Continue a text");
  auto flags = std::make_shared<Flags>();
  add_model_flags(*command, flags->model);
  CLI::Option* prompt = command->add_option("-p,--prompt", flags->prompt, "The text to continue")->type_name("TEXT");
  CLI::Option* file =
      command->add_option("-f,--prompt-file", flags->prompt_file, "File with the text to continue; - reads stdin")
          ->type_name("FILE");
  prompt->excludes(file);
  command->add_option("--load", flags->load, "Go on with a session that was saved; the prompt, if any, is added to it")
      ->type_name("FILE");
  command
      ->add_option("--save", flags->save, "Save the session at the end; a file there is replaced when all is written")
      ->type_name("FILE");
  command
      ->add_option("-n,--max-tokens", flags->max_tokens,
                   "Tokens to write at most (default: until the text ends or the context is full)")
      ->type_name("N")
      ->check(CLI::Range(1u, UINT32_MAX));
  command->add_flag(
      "--special", flags->show_special,
      "Also print control tokens: <｜Assistant｜>, </think>, ｜DSML｜ of tool calls, and the one that ends "
      "the text");
  add_json_flag(*command, flags->json);
  add_sampler_flags(*command, flags->sampler);
  add_session_flags(*command, flags->session);
  add_device_flags(*command, flags->device);
  command->footer(
      "The text goes to stdout as it is written; device, kernels and speed go to stderr at the end. It ends where the\n"
      "model ends it or begins the turn of another (<｜User｜>, <｜Assistant｜>). The answer to a prompt of `nibble "
      "encode`\n"
      "is shown without the marks around reasoning and tool calls; a program that takes it apart needs --special.\n"
      "Ctrl-C ends the text, exit code 130; with --save what there is of it is saved, and only when that takes 10\n"
      "seconds ends another Ctrl-C the program without.\n"
      "Examples:\n"
      "  nibble run -m tools/demo/model -p 'In the beginning' -n 100 --temp 0.7\n"
      "  nibble encode -m DIR --messages chat.json | nibble run -m DIR -f - --seed 7\n"
      "  nibble run -m DIR -f book.txt -n 1 --save book.session\n"
      "  nibble run -m DIR --load book.session -p ' What follows'");
  command->callback([flags] { run(*flags); });
}

}  // namespace nibble
