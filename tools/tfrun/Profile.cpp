//===- Profile.cpp - Where the time of a run went -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/Profile.h"
#include "runtime/File.h"
#include "tools/tfrun/Model.h"
#include "tools/tfrun/Output.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <stdexcept>

namespace xfm::tfrun {

Profile::Profile(xfm_session *session, const Options &options) : session(session), options(options) {
  if (!options.profile)
    return;
  limits = measureLimits(options.threads > 0 ? options.threads : availableCores());
  start();
}

void Profile::start() {
  if (options.profile)
    check(xfm_profile_start(session));
}

void Profile::stop() {
  if (options.profile)
    check(xfm_profile_stop(session));
}

/// All records or events, through the function that gives one.
template <typename Item, typename Get>
static std::vector<Item> readAll(const xfm_session *session, int64_t count, Get get) {
  std::vector<Item> items(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    items[size_t(i)].size = sizeof(Item);
    check(get(session, i, &items[size_t(i)]));
  }
  return items;
}

void Profile::report() const {
  if (!options.profile)
    return;
  auto records =
      readAll<xfm_profile_record>(session, xfm_profile_record_count(session), xfm_profile_get_record);
  if (!options.quiet)
    writeError(profileTable(std::move(records), xfm_profile_seconds(session), limits));
  if (options.trace.empty())
    return;
  auto events = readAll<xfm_profile_event>(session, xfm_profile_event_count(session), xfm_profile_get_event);
  if (Status status = replaceFile(options.trace, {traceJson(events)}); !status.ok())
    throw std::runtime_error(status.message);
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

template <typename... Values> static std::string format(const char *pattern, Values... values) {
  char line[256];
  std::snprintf(line, sizeof line, pattern, values...);
  return line;
}

/// A rate in units of 1e9, "-" where it is not known.
static std::string rateText(double amount, double seconds) {
  return amount < 0 || seconds <= 0 ? "-" : format("%.2f", 1e-9 * amount / seconds);
}

/// How much of the nearer limit is reached, in %.
static std::string limitText(const xfm_profile_record &record, const Limits &limits) {
  double most = std::max(record.flops / limits.flopsPerSecond, record.bytes / limits.bytesPerSecond);
  return most < 0 || record.seconds <= 0 ? "-" : format("%.1f", 100 * most / record.seconds);
}

static double sumOf(const std::vector<xfm_profile_record> &records) {
  double sum = 0;
  for (const xfm_profile_record &record : records)
    sum += record.seconds;
  return sum;
}

static std::string entryTable(std::vector<xfm_profile_record> records, double all, int width,
                              const Limits &limits) {
  double seconds = sumOf(records);
  std::sort(records.begin(), records.end(),
            [](const auto &a, const auto &b) { return a.seconds > b.seconds; });
  std::string table = format("%s: %.3f ms, %.1f %% of all\n", records[0].entry, 1e3 * seconds,
                             all > 0 ? 100 * seconds / all : 0.0);
  table += "  " + std::string("name") + std::string(size_t(width) - 4, ' ') +
           format(" %9s %11s %7s %9s %9s %10s\n", "calls", "ms", "share %", "GFLOP/s", "GB/s", "% of limit");
  for (const xfm_profile_record &record : records) {
    std::string name = record.name;
    name.resize(std::max(name.size(), size_t(width)), ' ');
    table += "  " + name +
             format(" %9lld %11.3f %7.1f %9s %9s %10s\n", static_cast<long long>(record.calls),
                    1e3 * record.seconds, seconds > 0 ? 100 * record.seconds / seconds : 0.0,
                    rateText(record.flops, record.seconds).c_str(),
                    rateText(record.bytes, record.seconds).c_str(), limitText(record, limits).c_str());
  }
  return table;
}

std::string profileTable(std::vector<xfm_profile_record> records, double seconds, const Limits &limits) {
  std::string table =
      format("limits of %d threads: %.1f GB/s read from memory, %.1f GFLOP/s in f32 (%s)\n",
             int(limits.threads), 1e-9 * limits.bytesPerSecond, 1e-9 * limits.flopsPerSecond, limits.vectors);
  std::map<std::string, std::vector<xfm_profile_record>> byEntry;
  size_t width = 8;
  for (const xfm_profile_record &record : records) {
    byEntry[record.entry].push_back(record);
    width = std::max(width, std::strlen(record.name));
  }
  std::vector<std::vector<xfm_profile_record>> entries;
  for (auto &[name, list] : byEntry)
    entries.push_back(std::move(list));
  std::sort(entries.begin(), entries.end(), [](const auto &a, const auto &b) { return sumOf(a) > sumOf(b); });
  double sum = sumOf(records);
  for (const std::vector<xfm_profile_record> &entry : entries)
    table += entryTable(entry, sum, int(width), limits);
  return table + format("sum %.3f ms, wall time of the calls %.3f ms, ratio %.4f", 1e3 * sum, 1e3 * seconds,
                        seconds > 0 ? sum / seconds : 0.0);
}

//===----------------------------------------------------------------------===//
// The trace
//===----------------------------------------------------------------------===//

std::string traceJson(const std::vector<xfm_profile_event> &events) {
  std::string text = "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n";
  std::map<const char *, std::string> quoted; // names are the same strings again and again
  auto quote = [&](const char *name) -> const std::string & {
    std::string &known = quoted[name];
    if (known.empty())
      known = nlohmann::json(name).dump();
    return known;
  };
  std::map<const char *, size_t> rows;
  for (const xfm_profile_event &event : events) {
    auto [row, isNew] = rows.emplace(event.entry, rows.size() + 1);
    std::string place = format("\"pid\": 1, \"tid\": %zu", row->second);
    if (isNew)
      text += "{\"name\": \"thread_name\", \"ph\": \"M\", " + place +
              ", \"args\": {\"name\": " + quote(event.entry) + "}},\n";
    // Microseconds; nanoseconds stand behind the point.
    text += "{\"name\": " + quote(event.name) + ", \"cat\": " + quote(event.entry) + ", \"ph\": \"X\", " +
            place +
            format(", \"ts\": %.3f, \"dur\": %.3f},\n", 1e-3 * double(event.begin_ns),
                   1e-3 * double(event.duration_ns));
  }
  if (!events.empty())
    text.erase(text.size() - 2, 1); // the comma behind the last one
  return text + "]}\n";
}

} // namespace xfm::tfrun
