#include "host/text/control_tokens.h"

#include <gtest/gtest.h>

#include "host/checkpoint/read_tokenizer.h"
#include "host/text/chat_tokens.h"

namespace nibble {
namespace {

// Its file calls <｜User｜>, </think> and the like not special, as the released ones do.
class ControlTokensTest : public testing::Test {
 protected:
  uint32_t id(std::string_view text) const { return tokenizer_.token_to_id(text).value(); }

  const Tokenizer tokenizer_ = read_tokenizer(NIBBLE_SOURCE_DIR "/tools/demo/model/tokenizer.json");
};

TEST_F(ControlTokensTest, AreThoseOfTheChatFormatAndOfTheFile) {
  const ControlTokens control(tokenizer_, {});
  for (const std::string_view text :
       {kBosToken, kEosToken, kUserToken, kAssistantToken, kReminderToken, kThinkStart, kThinkEnd, kDsmlToken}) {
    EXPECT_TRUE(control.is_control(id(text))) << text;
    EXPECT_TRUE(control.hidden()[id(text)]) << text;
  }
  for (const auto& [task, text] : kTaskTokens) EXPECT_TRUE(control.is_control(id(text))) << text;
  EXPECT_TRUE(control.is_control(id("<｜▁pad▁｜>"))) << "special in the file";
  for (const uint32_t word : tokenizer_.encode("In the beginning")) EXPECT_FALSE(control.is_control(word));
  EXPECT_FALSE(control.is_control(UINT32_MAX));
}

TEST_F(ControlTokensTest, SomeEndTheText) {
  const uint32_t word = tokenizer_.encode("the").front();
  const ControlTokens control(tokenizer_, std::vector<uint32_t>{word, 2000000});
  for (const uint32_t end : {id(kEosToken), word, 2000000u}) EXPECT_TRUE(control.ends_text(end)) << end;
  for (const std::string_view turn : {kUserToken, kAssistantToken, kBosToken, kReminderToken}) {
    EXPECT_TRUE(control.begins_turn(id(turn))) << turn;
    EXPECT_FALSE(control.ends_text(id(turn))) << turn;
  }
  for (const std::string_view inside : {kThinkStart, kThinkEnd, kDsmlToken}) {
    EXPECT_FALSE(control.begins_turn(id(inside)) || control.ends_text(id(inside))) << inside;
  }
}

TEST_F(ControlTokensTest, AreLeftOutOfAStream) {
  const ControlTokens control(tokenizer_, {});
  const std::vector<uint32_t> ids = tokenizer_.encode("the<｜Assistant｜></think>the");
  StreamDecoder without(tokenizer_, &control.hidden());
  StreamDecoder with(tokenizer_);
  std::string shown, all;
  for (const uint32_t token : ids) {
    shown += without.push(token);
    all += with.push(token);
  }
  EXPECT_EQ(shown, "thethe");
  EXPECT_EQ(all, "the<｜Assistant｜></think>the");
}

}  // namespace
}  // namespace nibble
