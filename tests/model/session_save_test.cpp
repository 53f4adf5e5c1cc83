// Saving and loading: a session that went through a file goes on as one that did not, bit for bit, and a file that is
// not what it should be is refused.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/engine/session.h"
#include "host/kv/session_file.h"
#include "tests/model/session_calls.h"
#include "tests/model/synthetic_session.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_directory.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

class SessionSaveTest : public SyntheticSession {
 protected:
  SessionSaveTest() : SyntheticSession({0, 4, 24}, 41, 99) {}

  std::unique_ptr<Session> load(const SessionOptions& options) { return Session::load(model_, path_, options); }

  const SessionOptions options_ = small_steps(GetParam());
  const std::string path_ = directory_.file("a.session");
};

TEST_P(SessionSaveTest, GoesOnAsIfNothingHadHappened) {
  const auto session = Session::create(model_, options_);
  for (const size_t count : {0, 1, 4, 1, 40, 1, 57, 120}) {
    if (count != 0) session->feed(random_tokens(count));
    session->save(path_, "a note");
    SessionOptions options = options_;
    options.context = 500;
    // A file fits any slabs. Each number of slabs is a kernel of its own to compile, so two lengths must do.
    if (count == 4 || count == 57) options.kv_slab_bytes = 1000;
    std::string note;
    const auto loaded = Session::load(model_, path_, options, &note);
    EXPECT_EQ(note, "a note");
    ASSERT_EQ(loaded->position(), session->position());
    EXPECT_TRUE(std::ranges::equal(loaded->tokens(), session->tokens()));
    for (const size_t more : {1, 14, 1}) {
      const std::vector<uint32_t> probe = random_tokens(more);
      EXPECT_TRUE(same_bits(answers(*loaded, probe), answers(*session, probe))) << "after " << session->position();
    }
  }
}

TEST_P(SessionSaveTest, ALoadedSessionRewinds) {
  const auto session = Session::create(model_, options_);
  SessionCalls calls;
  for (const size_t count : {70, 1, 1, 1, 60}) {
    calls.add(random_tokens(count));
    session->feed(calls.all().back());
  }
  session->save(path_);
  const auto loaded = load(options_);
  for (const uint32_t target : {125u, 72u, 31u, 0u}) {
    loaded->rewind(target);
    calls.cut(target);
    const std::vector<uint32_t> probe = random_tokens(2);
    EXPECT_TRUE(same_bits(answers(*loaded, probe), calls.answers_after(model_, options_, probe))) << target;
    calls.add(probe);
  }
}

// Devices sum in different orders: numbers differ in their last bits, and no more, where nothing is rounded on purpose.
TEST_P(SessionSaveTest, GoesOnOnAnotherDevice) {
  SessionOptions plain = options_;
  plain.numerics = Numerics::kPlain;
  const auto here = Session::create(model_, plain);
  here->feed(random_tokens(101));
  here->save(path_);
  const std::shared_ptr<Model> cpu = model_on({.label = "cpu", .id = "cpu", .options = {}}, checkpoint_);
  const auto there = Session::load(cpu, path_, plain);
  const std::vector<uint32_t> probe = random_tokens(20);
  const std::vector<float> want = answers(*here, probe);
  const std::vector<float> moved = answers(*there, probe);
  ASSERT_EQ(moved.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const double d = std::fabs(static_cast<double>(moved[i]) - static_cast<double>(want[i]));
    if (!(d <= 1e-3)) ADD_FAILURE() << "logit " << i << ": " << moved[i] << ", expected " << want[i];
  }
}

TEST_P(SessionSaveTest, TakesLittleMoreThanTheCache) {
  const auto session = Session::create(model_, options_);
  session->feed(random_tokens(400));  // every row of the cache is in use
  session->save(path_);
  EXPECT_LE(static_cast<double>(fs::file_size(path_)), 1.05 * static_cast<double>(session->kv_bytes()));
}

TEST_P(SessionSaveTest, RefusesWhatDoesNotBelong) {
  const auto session = Session::create(model_, options_);
  session->feed(random_tokens(50));
  session->save(path_);
  const auto with = [this](auto&& change) {
    SessionOptions options = options_;
    change(options);
    return options;
  };
  expect_error([&] { load(with([](auto& o) { o.numerics = Numerics::kFast; })); }, path_, "--numerics reference",
               "has fast");
  expect_error([&] { load(with([](auto& o) { o.kv_rope = KvRope::kF32; })); }, path_, "--kv-rope bf16", "has f32");
  expect_error([&] { load(with([](auto& o) { o.chunk = 8; })); }, path_, "--chunk 16", "has 8");
  expect_error([&] { load(with([](auto& o) { o.context = 49; })); }, path_, "50 tokens", "context of 49", "--ctx");
  expect_error([&] { Session::load(model_, directory_.file("none"), options_); }, "none", "No such file");
  const TempDirectory sibling;
  const auto other = model_on(GetParam().device, synthetic_checkpoint(sibling, GetParam(), {0, 4, 24}, 42));
  expect_error([&] { Session::load(other, path_, options_); }, path_, "another model", "expected");
}

TEST_P(SessionSaveTest, ASessionWithoutCompressedEntriesIsRefused) {
  SessionOptions blind = options_;
  blind.window_only = true;
  expect_error([&] { Session::create(model_, blind)->save(path_); }, "save", "window only");
  Session::create(model_, options_)->save(path_);
  expect_error([&] { load(blind); }, "load", "window only");
}

INSTANTIATE_TEST_SUITE_P(All, SessionSaveTest, testing::ValuesIn(session_kinds()),
                         [](const auto& parameter) { return parameter.param.label(); });

// What follows does not depend on the device.
class SessionFileContentTest : public SessionSaveTest {
 protected:
  // A file with right checksums and something changed in it.
  template <typename F>
  void forge(F&& change) {
    SessionFile file = SessionFile::open(path_);
    file.verify();
    nlohmann::json info = file.info();
    std::map<std::string, std::string> sections;
    for (const char* name : {"tokens", "steps", "state", "layers.1.entries", "layers.1.keys", "layers.2.entries"}) {
      const auto bytes = file.section(name, file.section_bytes(name));
      sections[name].assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    change(info, sections);
    SessionFileWriter writer(forged_);
    for (const auto& [name, bytes] : sections) {
      writer.begin_section(name);
      writer.write(std::as_bytes(std::span(bytes)));
    }
    writer.finish(info);
  }

  std::string forged_ = directory_.file("forged.session");
};

TEST_P(SessionFileContentTest, ForgedFilesAreRefused) {
  using Sections = std::map<std::string, std::string>;
  using Info = nlohmann::json;
  const auto session = Session::create(model_, options_);
  session->feed(random_tokens(50));
  session->save(path_);
  const std::pair<std::function<void(Info&, Sections&)>, const char*> cases[] = {
      {[](Info& info, Sections&) { info.erase("position"); }, "'position' is not there"},
      {[](Info& info, Sections&) { info["position"] = -1; }, "'position' is -1"},
      {[](Info& info, Sections&) { info["position"] = uint64_t{1} << 40; }, "'position' is 1099511627776"},
      {[](Info& info, Sections&) { info["position"] = "many"; }, "'position' is \"many\""},
      {[](Info& info, Sections&) { info["position"] = 400; }, "section 'tokens': 50 bytes, expected 400"},
      {[](Info& info, Sections&) { info["model"] = 5; }, "'model' is 5"},
      {[](Info& info, Sections&) { info["model"] = "two\nlines"; }, "another model"},
      {[](Info& info, Sections&) { info["mtp"] = 1; }, "'mtp' is 1, expected true or false"},
      {[](Info& info, Sections&) { info["steps"] = 51; }, "'steps' is 51, expected an integer from 0 to 50"},
      {[](Info& info, Sections&) { info["steps"] = 3; }, "section 'steps': 16 bytes, expected 24"},
      {[](Info& info, Sections&) { info["snapshots"] = 3; }, "'snapshots' is not a list"},
      {[](Info& info, Sections&) { info["snapshots"] = {5}; }, "a snapshot at 5"},
      {[](Info& info, Sections&) { info["snapshots"] = {0}; }, "a snapshot at 0"},
      {[](Info& info, Sections&) {
         info["snapshots"] = {32, 16};
       },
       "a snapshot at 16"},
      {[](Info& info, Sections&) {
         info["snapshots"] = {16, "x"};
       },
       "a snapshot at \"x\""},
      {[](Info& info, Sections&) { info["snapshots"] = {16}; }, "no section 'snapshots.0'"},
      {[](Info&, Sections& sections) { sections["tokens"][3] = '\x7f'; }, "outside the vocabulary"},
      // Three steps of 16 tokens, then one of 2.
      {[](Info&, Sections& sections) { sections["steps"][0] = 17; }, "3 steps of 17 tokens at 0"},
      {[](Info&, Sections& sections) { sections["steps"][0] = 0; }, "3 steps of 0 tokens at 0"},
      {[](Info&, Sections& sections) { sections["steps"][4] = 0; }, "0 steps of 16 tokens at 0"},
      {[](Info&, Sections& sections) { sections["steps"][7] = '\xff'; }, "4278190083 steps of 16 tokens at 0"},
      {[](Info&, Sections& sections) { sections["steps"][8] = 3; }, "1 steps of 3 tokens at 48"},
      {[](Info&, Sections& sections) { sections["steps"][8] = 1; }, "they end at 49, expected 50"},
      {[](Info&, Sections& sections) { sections.erase("state"); }, "no section 'state'"},
      {[](Info&, Sections& sections) { sections["state"].pop_back(); }, "section 'state'"},
      {[](Info&, Sections& sections) { sections.erase("layers.1.keys"); }, "no section 'layers.1.keys'"},
      {[](Info&, Sections& sections) { sections["layers.2.entries"] += "more"; }, "section 'layers.2.entries'"},
  };
  for (const auto& [change, expected] : cases) {
    SCOPED_TRACE(expected);
    forge(change);
    expect_error([&] { Session::load(model_, forged_, options_); }, forged_, expected);
  }
  forge([](Info&, Sections&) {});
  EXPECT_EQ(Session::load(model_, forged_, options_)->position(), 50u) << "what was not changed is accepted";
  forge([](Info& info, Sections&) { info.erase("mtp"); });
  EXPECT_EQ(Session::load(model_, forged_, options_)->position(), 50u) << "files from before there was the field";
}

TEST_P(SessionFileContentTest, DamagedFilesAreRefused) {
  const auto session = Session::create(model_, options_);
  session->feed(random_tokens(50));
  session->save(path_);
  const std::string good = read_bytes(path_);
  for (int round = 0; round < 200; ++round) {
    std::string bytes = good;
    const auto at = rng_.below(static_cast<uint32_t>(good.size()));
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng_.below(8)));
    if (round % 4 == 0) bytes.resize(at);
    directory_.write("forged.session", bytes);
    expect_error([&] { Session::load(model_, forged_, options_); }, forged_);
  }
}

// Snapshots travel along where they are small beside the entries.
TEST_P(SessionFileContentTest, LongSessionsKeepSnapshots) {
  const TempDirectory directory;
  const std::shared_ptr<Model> model =
      model_on(GetParam().device, synthetic_checkpoint(directory, GetParam(), {4, 4, 4}, 43));
  const SessionOptions options = {.numerics = Numerics::kPlain, .context = 8000, .chunk = 250, .snapshot_every = 1000};
  const auto session = Session::create(model, options);
  session->feed(random_tokens(8000));
  session->save(path_);
  EXPECT_LE(static_cast<double>(fs::file_size(path_)), 1.05 * static_cast<double>(session->kv_bytes()));
  EXPECT_FALSE(SessionFile::open(path_).info()["snapshots"].empty());
  const auto loaded = Session::load(model, path_, options);
  loaded->rewind(7990);
  session->rewind(7990);
  const std::vector<uint32_t> probe = random_tokens(5);
  EXPECT_TRUE(same_bits(answers(*loaded, probe), answers(*session, probe)));
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SessionFileContentTest);
INSTANTIATE_TEST_SUITE_P(Cpu, SessionFileContentTest, testing::ValuesIn(only_cpu(kinds_without_mtp())),
                         [](const auto& parameter) { return parameter.param.label(); });

class SessionFileMtpTest : public SessionSaveTest {};

TEST_P(SessionFileMtpTest, AFileHasTheStateThatTheSessionNeeds) {
  SessionOptions without = options_;
  without.mtp = false;
  const auto trunk = Session::create(model_, without);
  trunk->feed(random_tokens(50));
  trunk->save(path_);
  expect_error([&] { load(options_); }, path_, "saved without the state of the MTP block",
               "this session runs with the block");
  EXPECT_EQ(load(without)->position(), 50u);
  const auto both = Session::create(model_, options_);
  both->feed(random_tokens(50));
  both->save(path_);
  expect_error([&] { load(without); }, path_, "saved with the state of the MTP block",
               "this session runs without the block");
  EXPECT_EQ(load(options_)->position(), 50u);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SessionFileMtpTest);
INSTANTIATE_TEST_SUITE_P(Cpu, SessionFileMtpTest, testing::ValuesIn(only_cpu(kinds_with_mtp())),
                         [](const auto& parameter) { return parameter.param.label(); });

}  // namespace
}  // namespace nibble
