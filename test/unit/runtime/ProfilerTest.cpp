//===- ProfilerTest.cpp - where the time of calls goes --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FakeArtifact.h"
#include "runtime/Module.h"

#include <chrono>
#include <map>

using namespace xfm::test;
using nlohmann::json;

using Names = std::map<std::string, xfm_profile_record>; // by "entry/name"

namespace {
/// The fake artifact with the entry points busy and services, opened for profiling.
class ProfilerTest : public ::testing::Test {
protected:
  ProfilerTest() {
    json term = {{"coefficient", 10}, {"sizes", {"B", "S"}}};
    json busy = artifact.entry("score");
    busy["name"] = "busy";
    busy["symbol"] = "xfm_entry_busy";
    busy["dispatches"] = {{{"name", "one"}, {"count", 1}, {"flops", {term}}, {"bytes", json::array()}},
                          {{"name", "two"}, {"count", 1}}};
    json services = artifact.entry("score");
    services["name"] = "services";
    services["symbol"] = "xfm_entry_services";
    services["outputs"][0]["dtype"] = "i64";
    artifact.manifest["entry_points"].push_back(busy);
    artifact.manifest["entry_points"].push_back(services);
    artifact.entry("prefill")["dispatches"][0]["flops"] = {{{"coefficient", 1}, {"sizes", {"B", "S", "T"}}}};
    artifact.write();
  }
  ~ProfilerTest() override { close(); }

  void open(bool profile, int32_t threads = 2, int64_t batch = 1) {
    close();
    xfm_open_options options = {sizeof options, 0, profile, 0, nullptr, 0, 0, 0, nullptr, nullptr};
    ASSERT_EQ(xfm_model_open(artifact.path().c_str(), &options, &model), XFM_OK) << xfm_last_error();
    xfm_session_options sizes = {sizeof sizes, threads, batch, 20, 0};
    ASSERT_EQ(xfm_session_create(model, &sizes, &session), XFM_OK) << xfm_last_error();
  }

  void close() {
    xfm_session_destroy(session);
    xfm_model_close(model);
    session = nullptr;
    model = nullptr;
  }

  static xfm_status call(xfm_session *session, const char *entry, const std::vector<int32_t> &tokens,
                         int64_t batch = 1) {
    int64_t positions = static_cast<int64_t>(tokens.size()) / batch;
    std::vector<float> offsets(tokens.size() * 2);
    xfm_tensor inputs[] = {tensorOf(tokens, XFM_I32, {batch, positions}),
                           tensorOf(offsets, XFM_F32, {batch, positions, 2})};
    return xfm_session_call(session, entry, inputs, entry == std::string("prefill") ? 2 : 1);
  }

  /// The parallel_for that a module was given.
  static int64_t services(xfm_session *session) {
    EXPECT_EQ(call(session, "services", {1}), XFM_OK) << xfm_last_error();
    xfm_tensor tensor = {};
    EXPECT_EQ(xfm_session_output(session, 0, &tensor), XFM_OK);
    return *static_cast<const int64_t *>(tensor.data);
  }

  Names records() const {
    Names all;
    for (int64_t i = 0; i < xfm_profile_record_count(session); ++i) {
      xfm_profile_record record = {};
      record.size = sizeof record;
      EXPECT_EQ(xfm_profile_get_record(session, i, &record), XFM_OK) << xfm_last_error();
      EXPECT_TRUE(all.emplace(std::string(record.entry) + "/" + record.name, record).second);
    }
    return all;
  }

  FakeArtifact artifact;
  xfm_model *model = nullptr;
  xfm_session *session = nullptr;
};
} // namespace

// Launches of 2, 3 and 1 ms, each behind 0.5 ms that prepare it; 1 ms at the end.
TEST_F(ProfilerTest, TimesAddUpToTheCall) {
  open(true);
  ASSERT_EQ(xfm_profile_start(session), XFM_OK);
  auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(call(session, "busy", {20, 30, 10}), XFM_OK) << xfm_last_error();
  double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  Names all = records();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_GE(all.at("busy/one").seconds, 0.0025);
  EXPECT_GE(all.at("busy/two").seconds, 0.0035);
  EXPECT_GE(all.at("busy/(unlisted)").seconds, 0.0015); // the artifact lists two
  EXPECT_GE(all.at("busy/(host)").seconds, 0.001);
  double sum = 0;
  for (auto &[name, record] : all)
    sum += record.seconds;
  EXPECT_NEAR(sum, wall, 0.03 * wall);
  EXPECT_NEAR(sum, xfm_profile_seconds(session), 1e-8);
  EXPECT_EQ(all.at("busy/one").flops, 30);
  EXPECT_EQ(all.at("busy/one").bytes, 0);
  EXPECT_EQ(all.at("busy/two").flops, -1);
  EXPECT_EQ(all.at("busy/(host)").bytes, -1);
}

TEST_F(ProfilerTest, EventsFollowEachOther) {
  open(true);
  ASSERT_EQ(xfm_profile_start(session), XFM_OK);
  for (int i = 0; i < 2; ++i)
    ASSERT_EQ(call(session, "busy", {1, 2}), XFM_OK) << xfm_last_error();
  const char *names[] = {"(host)", "one", "two", "(host)"};
  ASSERT_EQ(xfm_profile_event_count(session), 8);
  int64_t end = 0, total = 0;
  for (int64_t i = 0; i < 8; ++i) {
    xfm_profile_event event = {};
    event.size = sizeof event;
    ASSERT_EQ(xfm_profile_get_event(session, i, &event), XFM_OK);
    EXPECT_STREQ(event.name, names[i % 4]);
    EXPECT_STREQ(event.entry, "busy");
    EXPECT_GE(event.duration_ns, 0);
    EXPECT_GE(event.begin_ns, end);
    if (i % 4) {
      EXPECT_EQ(event.begin_ns, end);
    }
    end = event.begin_ns + event.duration_ns;
    total += event.duration_ns;
  }
  EXPECT_NEAR(1e-9 * static_cast<double>(total), xfm_profile_seconds(session), 1e-8);
}

// Each query sees itself and all positions before it, whatever the pieces.
TEST_F(ProfilerTest, WorkOfPiecesAddsUp) {
  open(true, 2, 3);
  ASSERT_EQ(xfm_profile_start(session), XFM_OK);
  ASSERT_EQ(call(session, "prefill", std::vector<int32_t>(33, 1), 3), XFM_OK) << xfm_last_error();
  EXPECT_EQ(records().at("prefill/all").calls, 3);
  EXPECT_EQ(records().at("prefill/all").flops, 3 * 11 * 12 / 2);
  ASSERT_EQ(call(session, "prefill", std::vector<int32_t>(3, 1), 3), XFM_OK) << xfm_last_error();
  EXPECT_EQ(records().at("prefill/all").calls, 4);
  EXPECT_EQ(records().at("prefill/all").flops, 3 * 12 * 13 / 2);
}

TEST_F(ProfilerTest, RegionsInsideTasksAreTheirLaunch) {
  for (int32_t threads : {1, 2, 4}) {
    open(true, threads);
    ASSERT_EQ(xfm_profile_start(session), XFM_OK);
    for (int i = 0; i < 50; ++i)
      ASSERT_EQ(call(session, "score", std::vector<int32_t>(60, 1)), XFM_OK) << xfm_last_error();
    EXPECT_EQ(records().at("score/all").calls, 50);
    EXPECT_EQ(xfm_profile_event_count(session), 150);
  }
}

TEST_F(ProfilerTest, FailedCallsLeaveNoTrace) {
  open(true);
  ASSERT_EQ(xfm_profile_start(session), XFM_OK);
  EXPECT_EQ(call(session, "prefill", {1, 1, 1, 1, 13}), XFM_INTERNAL);
  EXPECT_EQ(call(session, "prefill", {1000}), XFM_OUT_OF_RANGE);
  EXPECT_EQ(call(session, "nothing", {1}), XFM_INVALID_ARGUMENT);
  EXPECT_EQ(xfm_profile_record_count(session), 0);
  EXPECT_EQ(xfm_profile_event_count(session), 0);
  EXPECT_EQ(xfm_profile_seconds(session), 0);
  ASSERT_EQ(call(session, "prefill", {1}), XFM_OK) << xfm_last_error();
  EXPECT_EQ(records().at("prefill/all").flops, 1);
}

TEST_F(ProfilerTest, StartStopReset) {
  open(true);
  ASSERT_EQ(call(session, "score", {1}), XFM_OK);
  EXPECT_EQ(xfm_profile_event_count(session), 0);
  ASSERT_EQ(xfm_profile_start(session), XFM_OK);
  ASSERT_EQ(call(session, "score", {1}), XFM_OK);
  ASSERT_EQ(xfm_profile_stop(session), XFM_OK);
  ASSERT_EQ(call(session, "score", {1}), XFM_OK);
  EXPECT_EQ(records().at("score/all").calls, 1);
  ASSERT_EQ(xfm_profile_reset(session), XFM_OK);
  EXPECT_EQ(xfm_profile_record_count(session), 0);
  EXPECT_EQ(xfm_profile_seconds(session), 0);
  ASSERT_EQ(call(session, "score", {1}), XFM_OK);
  EXPECT_EQ(xfm_profile_record_count(session), 0); // still stopped
  ASSERT_EQ(xfm_profile_start(session), XFM_OK);
  ASSERT_EQ(call(session, "score", {1}), XFM_OK);
  EXPECT_EQ(records().at("score/all").calls, 1);
}

TEST_F(ProfilerTest, OffMeansTheSameServicesAndNoRecords) {
  open(false);
  EXPECT_EQ(services(session), reinterpret_cast<intptr_t>(xfm::plainServices().parallel_for));
  EXPECT_EQ(xfm_profile_start(session), XFM_INVALID_ARGUMENT);
  EXPECT_NE(std::string(xfm_last_error()).find("opened without profiling"), std::string::npos);
  EXPECT_EQ(xfm_profile_reset(session), XFM_INVALID_ARGUMENT);
  EXPECT_EQ(xfm_profile_record_count(session), 0);
  EXPECT_EQ(xfm_profile_event_count(session), 0);
  EXPECT_EQ(xfm_profile_seconds(session), 0);
}

// Options of a caller that does not know profiling are those of one that is not profiled.
TEST_F(ProfilerTest, OlderOptionsAreOff) {
  xfm_open_options options = {
      offsetof(xfm_open_options, profile), 0, 1, 0, nullptr, 0, 0, 0, nullptr, nullptr};
  ASSERT_EQ(xfm_model_open(artifact.path().c_str(), &options, &model), XFM_OK);
  ASSERT_EQ(xfm_session_create(model, nullptr, &session), XFM_OK);
  EXPECT_EQ(xfm_profile_start(session), XFM_INVALID_ARGUMENT);
}

// A module keeps one table of services; models with and without profiling have
// the code twice, in whichever order they are opened and closed.
TEST_F(ProfilerTest, ModelsWithAndWithoutItMeet) {
  for (bool first : {true, false}) {
    open(first);
    xfm_model *otherModel = nullptr;
    xfm_session *other = nullptr;
    xfm_open_options options = {sizeof options, 0, !first, 0, nullptr, 0, 0, 0, nullptr, nullptr};
    ASSERT_EQ(xfm_model_open(artifact.path().c_str(), &options, &otherModel), XFM_OK) << xfm_last_error();
    ASSERT_EQ(xfm_session_create(otherModel, nullptr, &other), XFM_OK) << xfm_last_error();
    EXPECT_EQ(xfm_profile_start(first ? session : other), XFM_OK);
    EXPECT_EQ(call(session, "score", {1}), XFM_OK) << xfm_last_error();
    EXPECT_EQ(call(other, "score", {1}), XFM_OK) << xfm_last_error();
    EXPECT_EQ(xfm_profile_event_count(session), first ? 3 : 0);
    EXPECT_EQ(xfm_profile_event_count(other), first ? 0 : 3);
    EXPECT_EQ(services(first ? other : session),
              reinterpret_cast<intptr_t>(xfm::plainServices().parallel_for));
    close();
    EXPECT_EQ(call(other, "score", {1}), XFM_OK) << xfm_last_error();
    xfm_session_destroy(other);
    xfm_model_close(otherModel);
  }
}

TEST_F(ProfilerTest, ArgumentsAreChecked) {
  open(true);
  xfm_profile_record record = {};
  xfm_profile_event event = {};
  EXPECT_EQ(xfm_profile_start(nullptr), XFM_INVALID_ARGUMENT);
  EXPECT_EQ(xfm_profile_record_count(nullptr), 0);
  EXPECT_EQ(xfm_profile_event_count(nullptr), 0);
  EXPECT_EQ(xfm_profile_seconds(nullptr), 0);
  record.size = sizeof record;
  EXPECT_EQ(xfm_profile_get_record(session, 0, &record), XFM_INVALID_ARGUMENT);
  EXPECT_STREQ(xfm_last_error(), "there is no record 0: there are 0");
  ASSERT_EQ(xfm_profile_start(session), XFM_OK);
  ASSERT_EQ(call(session, "score", {1}), XFM_OK);
  EXPECT_EQ(xfm_profile_get_record(session, -1, &record), XFM_INVALID_ARGUMENT);
  EXPECT_EQ(xfm_profile_get_record(session, 0, nullptr), XFM_INVALID_ARGUMENT);
  EXPECT_EQ(xfm_profile_get_event(session, 3, &event), XFM_INVALID_ARGUMENT);
  EXPECT_EQ(xfm_profile_get_event(session, 0, &event), XFM_INVALID_ARGUMENT); // its size is zero
  record.size = offsetof(xfm_profile_record, seconds);
  record.seconds = 77; // not written
  EXPECT_EQ(xfm_profile_get_record(session, 0, &record), XFM_OK);
  EXPECT_EQ(record.seconds, 77);
}
