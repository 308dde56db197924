//@ What tfrun writes

#ifndef XFM_TOOLS_TFRUN_OUTPUT_H
#define XFM_TOOLS_TFRUN_OUTPUT_H

#include <string>
#include <string_view>

namespace xfm::tfrun {

/// Opens something harmless where stdin, stdout or stderr is closed, so that no file of ours takes its place. Writing
/// to a closed stdout still fails.
void guardStandardStreams();

/// Writes all of `text` to stdout at once. Throws std::runtime_error where that fails, e.g. on a full disk.
void writeOut(std::string_view text);

/// Writes a line to stderr.
void writeError(std::string_view line);

/// `text` with control characters as spaces, so that it is one line.
std::string oneLine(std::string text);

/// A file that appears whole or not at all: written under a temporary name and renamed by commit().
class OutputFile {
public:
  /// Throws std::runtime_error if the file cannot be created.
  explicit OutputFile(std::string path);
  OutputFile(OutputFile &&other) noexcept;
  ~OutputFile();

  void write(const void *data, size_t size);
  /// Puts the bytes on the disk; only commit() remains.
  void close();
  void commit();

private:
  [[noreturn]] void fail(const char *what) const;
  std::string path, temporary;
  int descriptor = -1;
};

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_OUTPUT_H
