#include "tools/nibble/generation.h"

#include <chrono>

#include "runtime/base/error.h"
#include "tools/nibble/terminal.h"

namespace nibble {
namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// False where an interrupt came first; the session then holds what was fed until then.
bool feed_unless_interrupted(Session& session, std::span<const uint32_t> tokens, std::vector<float>& logits) {
  try {
    logits = session.feed(tokens);
    return true;
  } catch (const Interrupted&) {
    return false;
  }
}

double speed(size_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

}  // namespace

std::string_view name_of(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfText:
      return "end of text";
    case StopReason::kNextTurn:
      return "the turn of another";
    case StopReason::kLength:
      return "length";
    case StopReason::kContextFull:
      return "context full";
    case StopReason::kInterrupted:
      return "interrupted";
  }
  return "";
}

double GenerationResult::prefill_speed() const { return speed(prompt_tokens, prefill_seconds); }
double GenerationResult::decode_speed() const { return speed(decode_steps, decode_seconds); }

GenerationResult generate(const Generator& with, const GenerationRequest& request, const TextSink& sink) {
  const auto& [session, tokenizer, control, sampler] = with;
  const uint32_t context = session.options().context;
  const uint32_t begin = session.position();
  if (request.prompt.size() > context - begin) {
    fail(ErrorCode::kUsage, "the prompt of {} tokens does not fit: {} of {} positions are taken; raise --ctx",
         request.prompt.size(), begin, context);
  }
  GenerationResult result;
  StreamDecoder decoder(tokenizer, request.show_special ? nullptr : &control.hidden());
  const auto prefill_begin = std::chrono::steady_clock::now();
  std::vector<float> logits;
  result.prompt_is_cut = !feed_unless_interrupted(session, request.prompt, logits);
  result.prompt_tokens = session.position() - begin;
  result.prefill_seconds = seconds_since(prefill_begin);
  result.stop = StopReason::kInterrupted;
  if (result.prompt_is_cut) return result;

  const auto decode_begin = std::chrono::steady_clock::now();
  for (;;) {
    const uint32_t token = sampler.sample(logits);
    if (control.ends_text(token) || control.begins_turn(token)) {
      result.stop = control.ends_text(token) ? StopReason::kEndOfText : StopReason::kNextTurn;
      result.last_token = token;
      break;
    }
    result.tokens.push_back(token);
    result.stop = StopReason::kInterrupted;
    if (!sink(decoder.push(token))) break;
    result.stop = StopReason::kLength;
    if (request.max_tokens != 0 && result.tokens.size() >= request.max_tokens) break;
    result.stop = StopReason::kContextFull;
    if (session.position() >= context) break;
    result.stop = StopReason::kInterrupted;
    if (!feed_unless_interrupted(session, std::span(&token, 1), logits)) break;
    ++result.decode_steps;
  }
  result.decode_seconds = seconds_since(decode_begin);
  sink(decoder.finish());
  return result;
}

}  // namespace nibble
