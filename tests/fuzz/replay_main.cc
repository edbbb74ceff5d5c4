// Runs a fuzz target over files with an ordinary compiler: replay_NAME FILE_OR_FOLDER...
// Crashing on a file is how it fails; the file is named before it is run, so the last name
// printed is the culprit.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" __attribute__((weak)) int LLVMFuzzerInitialize(int* argc, char*** argv);

namespace {

void run(const uint8_t* data, size_t size) {
  // A heap copy of the exact size lets the address sanitizer see any read past the end.
  auto copy = std::make_unique<uint8_t[]>(size);
  std::copy(data, data + size, copy.get());
  LLVMFuzzerTestOneInput(copy.get(), size);
}

bool run_file(const std::filesystem::path& file) {
  std::printf("%s\n", file.c_str());
  std::fflush(stdout);
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "cannot read %s\n", file.c_str());
    return false;
  }
  std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  run(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (LLVMFuzzerInitialize != nullptr) {
    LLVMFuzzerInitialize(&argc, &argv);
  }
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      files.emplace_back(argv[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (entry.is_regular_file()) {
        files.push_back(entry.path());
      }
    }
  }
  std::sort(files.begin(), files.end());
  run(nullptr, 0);
  bool all_read = true;
  for (const auto& file : files) {
    all_read = run_file(file) && all_read;
  }
  std::printf("replayed %zu files\n", files.size());
  return all_read && !files.empty() ? 0 : 1;
}
