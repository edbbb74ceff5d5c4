#include "core/net/byte_stream.hpp"

namespace tulle {

void ByteStream::finish(std::unique_ptr<ByteStream> stream, Duration linger) {
  if (stream != nullptr) stream->finish_detached(linger);
}

void ByteStream::abort(std::unique_ptr<ByteStream> stream) {
  if (stream != nullptr) stream->abort_detached();
}

}  // namespace tulle
