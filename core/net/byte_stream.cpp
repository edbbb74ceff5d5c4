#include "core/net/byte_stream.hpp"

namespace tulle {

void ByteStream::finish(std::unique_ptr<ByteStream> stream, Duration linger) {
  if (stream != nullptr) stream->finish_detached(linger);
}

}  // namespace tulle
