#include "tools/nibble/session_note.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace nibble {
namespace {

TEST(SessionNote, ComesBackAsItWas) {
  SessionNote note{.unread = {3, 129279}, .sampler = SamplerState{.seed = UINT64_MAX}, .chat = {{"read", "text"}}};
  note.sampler->generator = {UINT64_MAX, 0, uint64_t{1} << 53 | 1, 5};
  const SessionNote back = parse_session_note(to_text(note), "a.session", 129280);
  EXPECT_EQ(back.unread, note.unread);
  EXPECT_EQ(back.sampler, note.sampler);
  EXPECT_EQ(back.chat, note.chat);
}

TEST(SessionNote, RefusesWhatIsNoToken) {
  for (const char* id : {"129280", "-1", "1.5", "4294967299", "18446744073709551616", "null", "\"7\""}) {
    SCOPED_TRACE(id);
    const std::string text = R"({"unread": [3, )" + std::string(id) + "]}";
    expect_error([&] { parse_session_note(text, "a.session", 129280); }, "a.session: the note", "'unread'");
  }
}

TEST(SessionNote, FilesFromBeforeHaveNoSampler) {
  EXPECT_FALSE(parse_session_note(R"({"unread": [5], "chat": null})", "a.session", 129280).sampler.has_value());
  EXPECT_FALSE(parse_session_note("", "a.session", 129280).sampler.has_value());
}

TEST(SessionNote, RefusesWhatIsNoSampler) {
  for (const char* sampler :
       {"null", "7", R"({"seed": 7})", R"({"generator": [1, 2, 3, 4]})", R"({"seed": -7, "generator": [1, 2, 3, 4]})",
        R"({"seed": 7, "generator": [1, 2, 3]})", R"({"seed": 7, "generator": [1, 2, 3, 4.5]})",
        R"({"seed": 7, "generator": [0, 0, 0, 0]})"}) {
    SCOPED_TRACE(sampler);
    const std::string text = R"({"unread": [], "sampler": )" + std::string(sampler) + "}";
    expect_error([&] { parse_session_note(text, "a.session", 129280); }, "a.session", "'sampler'", "expected a seed");
  }
}

TEST(SessionNote, AnotherSeedStartsAnew) {
  Sampler saved({.seed = 7});
  saved.sample(std::vector<float>{0.F, 1.F, 2.F});
  for (const auto& [seed, given, goes_on] :
       {std::tuple(7u, true, true), std::tuple(0u, false, true), std::tuple(8u, true, false)}) {
    SCOPED_TRACE(seed);
    Sampler sampler({.seed = seed});
    const SamplerState own = sampler.state();
    resume(sampler, saved.state(), given);
    EXPECT_EQ(sampler.state(), goes_on ? saved.state() : own);
    resume(sampler, std::nullopt, given);
    EXPECT_EQ(sampler.state(), goes_on ? saved.state() : own);
  }
}

}  // namespace
}  // namespace nibble
