// InputBlock: memory that input is read into, and that queues may share instead of copying.
//
// Owns: the chunk it reads into. A Bytes queue that appends a piece of it of at least `share_from`
// bytes refers to the chunk; begin() then goes on in another one, so that what a queue has never
// changes. Smaller pieces are copied: they must not pin a whole block. At most four in a thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/bytes.hpp"

namespace tulle {

class InputBlock {
 public:
  InputBlock(size_t size, size_t share_from);
  ~InputBlock();
  InputBlock(const InputBlock&) = delete;
  InputBlock& operator=(const InputBlock&) = delete;

  size_t size() const { return size_; }
  char* begin();  // size() bytes that nobody else refers to, until pieces of them are appended

 private:
  const size_t size_;
  const uint32_t share_from_;
  Chunk* chunk_ = nullptr;
};

}  // namespace tulle
