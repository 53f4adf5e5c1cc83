#include "tools/nibble/generation.h"

#include <chrono>

#include "runtime/base/error.h"

namespace nibble {
namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double speed(size_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

}  // namespace

std::string_view name_of(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfText:
      return "end of text";
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

GenerationResult generate(Session& session, const Tokenizer& tokenizer, Sampler& sampler,
                          const GenerationRequest& request, const TextSink& sink) {
  const uint32_t context = session.options().context;
  if (request.prompt.size() > context - session.position()) {
    fail(ErrorCode::kUsage, "the prompt of {} tokens does not fit: {} of {} positions are taken; raise --ctx",
         request.prompt.size(), session.position(), context);
  }
  GenerationResult result;
  result.prompt_tokens = request.prompt.size();
  StreamDecoder decoder(tokenizer, !request.show_special);
  const auto prefill_begin = std::chrono::steady_clock::now();
  std::vector<float> logits = session.feed(request.prompt);
  result.prefill_seconds = seconds_since(prefill_begin);

  const auto decode_begin = std::chrono::steady_clock::now();
  for (;;) {
    const uint32_t token = sampler.sample(logits);
    if (token == request.eos) break;
    result.tokens.push_back(token);
    result.stop = StopReason::kInterrupted;
    if (!sink(decoder.push(token))) break;
    result.stop = StopReason::kLength;
    if (request.max_tokens != 0 && result.tokens.size() >= request.max_tokens) break;
    result.stop = StopReason::kContextFull;
    if (session.position() >= context) break;
    logits = session.feed(std::span(&token, 1));
    ++result.decode_steps;
    result.stop = StopReason::kEndOfText;
  }
  result.decode_seconds = seconds_since(decode_begin);
  sink(decoder.finish());
  return result;
}

}  // namespace nibble
