//===- ApiTest.cpp - the C API's small functions --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FakeArtifact.h"
#include "runtime/Status.h"
#include "runtime/Tensor.h"

#include <set>
#include <thread>

using namespace xfm;
using namespace xfm::test;

TEST(Api, StatusNames) {
  std::set<std::string> names;
  for (int i = XFM_OK; i <= XFM_INTERNAL; ++i)
    names.insert(xfm_status_name(static_cast<xfm_status>(i)));
  EXPECT_EQ(names.size(), static_cast<size_t>(XFM_INTERNAL) + 1);
  EXPECT_EQ(names.count("XFM_CONTEXT_FULL"), 1u);
  EXPECT_STREQ(xfm_version(), "0.1.0");
}

TEST(Api, Dtypes) {
  EXPECT_STREQ(xfm_dtype_name(XFM_BF16), "bf16");
  EXPECT_EQ(xfm_dtype_size(XFM_F16), 2u);
  EXPECT_EQ(xfm_dtype_size(XFM_I64), 8u);
  EXPECT_EQ(dtypeByName("i8"), XFM_I8);
  EXPECT_EQ(dtypeByName("f64"), std::nullopt);
}

TEST(Api, MessagesAreOneLine) {
  EXPECT_EQ(quote("a\nb"), "'a\\x0ab'");
  EXPECT_EQ(quote(std::string(1000, 'x')).size(), 165u);
}

TEST(Api, LastErrorIsPerThread) {
  EXPECT_EQ(xfm_model_open("/nothing/here", nullptr, nullptr), XFM_INVALID_ARGUMENT);
  std::string here = xfm_last_error();
  std::thread([] { EXPECT_STREQ(xfm_last_error(), ""); }).join();
  EXPECT_EQ(here, "out_model is null");
  EXPECT_EQ(xfm_last_error(), here);
}

TEST(Api, NullArguments) {
  xfm_model *model = nullptr;
  xfm_session *session = nullptr;
  xfm_tensor tensor;
  xfm_tensor_info info;
  EXPECT_EQ(xfm_model_open(nullptr, nullptr, &model), XFM_INVALID_ARGUMENT);
  EXPECT_EQ(xfm_model_input(nullptr, "a", 0, &info), XFM_INVALID_ARGUMENT);
  EXPECT_EQ(xfm_model_get_info(nullptr, nullptr), XFM_INVALID_ARGUMENT);
  EXPECT_EQ(xfm_session_create(nullptr, nullptr, &session), XFM_INVALID_ARGUMENT);
  EXPECT_EQ(xfm_session_call(nullptr, "a", nullptr, 0), XFM_INVALID_ARGUMENT);
  EXPECT_EQ(xfm_session_output(nullptr, 0, &tensor), XFM_INVALID_ARGUMENT);
  xfm_model_close(nullptr);
  xfm_session_destroy(nullptr);
  xfm_session_reset(nullptr);
}

// A caller built with an older, shorter structure gets defaults for the rest.
TEST(Api, OptionsMayBeShorter) {
  FakeArtifact artifact;
  xfm_model *model = openModel(artifact.path());
  xfm_session_options options = {};
  options.size = offsetof(xfm_session_options, context);
  options.threads = 1;
  options.context = 10; // not read
  xfm_session *session = nullptr;
  ASSERT_EQ(xfm_session_create(model, &options, &session), XFM_OK);
  EXPECT_EQ(xfm_session_context(session), 64);
  xfm_session_destroy(session);
  options.size = 0;
  EXPECT_EQ(xfm_session_create(model, &options, &session), XFM_INVALID_ARGUMENT);

  xfm_model_info info = {};
  info.size = offsetof(xfm_model_info, max_positions);
  info.max_positions = 77; // not written
  EXPECT_EQ(xfm_model_get_info(model, &info), XFM_OK);
  EXPECT_EQ(info.vocab_size, 100);
  EXPECT_EQ(info.max_positions, 77);
  xfm_model_close(model);
}

TEST(Api, SamplingIsOfADevice) {
  FakeArtifact artifact;
  xfm_model *model = openModel(artifact.path());
  EXPECT_EQ(xfm_model_can_sample(model), 0);
  xfm_session *session = nullptr;
  ASSERT_EQ(xfm_session_create(model, nullptr, &session), XFM_OK);
  xfm_sampling_options options = {};
  options.size = sizeof options;
  EXPECT_EQ(xfm_sampling_start(session, &options, nullptr, 0), XFM_INVALID_ARGUMENT);
  EXPECT_NE(std::string(xfm_last_error()).find("tokens are not drawn on its device"), std::string::npos);
  EXPECT_EQ(xfm_sampling_stop(session), XFM_OK);
  xfm_session_destroy(session);
  xfm_model_close(model);
}

TEST(Api, LogReceivesLines) {
  std::vector<std::string> lines;
  xfm_set_log([](void *user, xfm_log_level,
                 const char *line) { static_cast<std::vector<std::string> *>(user)->push_back(line); },
              &lines);
  FakeArtifact artifact;
  xfm_model_close(openModel(artifact.path()));
  xfm_set_log(nullptr, nullptr);
  xfm_model_close(openModel(artifact.path()));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("opened, 4 entry points, 1 weights"), std::string::npos) << lines[0];
}

TEST(Tensor, ByteSizes) {
  int64_t bytes;
  int64_t dims[] = {3, 4};
  EXPECT_TRUE(byteSize(dims, 2, 4, bytes));
  EXPECT_EQ(bytes, 48);
  int64_t empty[] = {3, 0};
  EXPECT_TRUE(byteSize(empty, 2, 4, bytes));
  EXPECT_EQ(bytes, 0);
  int64_t negative[] = {-1};
  EXPECT_FALSE(byteSize(negative, 1, 4, bytes));
  int64_t large[] = {INT64_MAX / 4};
  EXPECT_TRUE(byteSize(large, 1, 4, bytes));
  EXPECT_FALSE(byteSize(large, 1, 8, bytes));
}
