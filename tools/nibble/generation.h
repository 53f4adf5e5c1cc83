// One answer: tokens sampled one by one and handed out as text. Shared by run and chat.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/sampler.h"
#include "host/session.h"
#include "host/tokenizer.h"

namespace nibble {

struct GenerationRequest {
  std::span<const uint32_t> prompt;  // not yet fed; at least one token
  uint32_t max_tokens = 0;           // 0: until the end of the text or of the context
  uint32_t eos = 0;
  bool show_special = true;  // also hand out the text of control tokens such as <｜Assistant｜>
};

enum class StopReason { kEndOfText, kLength, kContextFull, kInterrupted };
std::string_view name_of(StopReason reason);

struct GenerationResult {
  std::vector<uint32_t> tokens;  // without the end-of-sentence token
  StopReason stop = StopReason::kEndOfText;
  size_t prompt_tokens = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;  // of the steps after the prefill
  size_t decode_steps = 0;

  double prefill_speed() const;  // tokens/s; 0 when there was nothing to measure
  double decode_speed() const;
};

// Gets every token's text as soon as it is whole code points; returning false ends the answer.
using TextSink = std::function<bool(std::string_view text)>;

// Feeds the prompt and samples until a reason to stop. Tokens returned are part of the session, but for the last one
// when the answer was cut by length, context or interruption. Throws kUsage when the prompt does not fit the context.
GenerationResult generate(Session& session, const Tokenizer& tokenizer, Sampler& sampler,
                          const GenerationRequest& request, const TextSink& sink);

}  // namespace nibble
