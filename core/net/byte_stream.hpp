// ByteStream: an ordered, reliable, closable stream of bytes. TCP, TLS over anything, the
// simulator's wire and MemoryStream are all this.
//
// The owner holds it by unique_ptr and may destroy it at any moment; nothing is heard afterwards.
// Reader calls come only from the engine or from a turn, never from inside a call of the owner.
#pragma once

#include <memory>
#include <optional>

#include "core/base/bytes.hpp"
#include "core/base/clock.hpp"
#include "core/base/result.hpp"
#include "core/net/address.hpp"

namespace tulle {

class PeerIdentity;

class ByteStream {
 public:
  class Reader {  // implemented by connections and by TlsStream
   public:
    // Once, before anything else: connected (and handshaken, for TLS). Accepted streams and streams
    // that were open before start() say it too, in the turn in which start() was called.
    virtual void on_open() {}
    virtual void on_bytes(ByteView bytes) = 0;   // parse and record; decide nothing; send nothing
    // Once; no bytes follow. Empty means an orderly end of input.
    virtual void on_end(std::optional<Error> why) = 0;
    // After an orderly on_end, at most once: nothing that is written arrives any more. This is how a
    // half-closed peer turns out to have left for good.
    virtual void on_lost(Error) {}
    virtual void on_drain() {}                   // backlog() has fallen below half of its mark
    // True: the peer takes no more for now, so that some of what was written stays with us. False:
    // all of that has gone. In alternation, each after a write stage.
    virtual void on_congested(bool) {}
   protected:
    ~Reader() = default;
  };

  virtual ~ByteStream() = default;            // closes now, drops what was not written
  // Begins to deliver. May be called again to hand the stream over: the new reader hears on_open,
  // what comes from now on, and on_end (also when the former one has heard it already).
  virtual void start(Reader& reader) = 0;
  // Back-pressure; initially true. May be called from on_bytes.
  virtual void want_read(bool wanted) = 0;
  // At most about so much at once from now on: what is read when nobody wants it must be kept.
  virtual void limit_read(size_t) {}
  virtual void write(Bytes&& bytes) = 0;      // takes all; goes out in this turn's write stage
  virtual size_t backlog() const = 0;         // accepted but not yet with the kernel
  virtual void shutdown() = 0;                // end of output after what was written (half close)
  // Flush, end output and close, even if the owner is gone; at most `linger` long. The caller
  // destroys the stream afterwards; the cell lives on. Data that still arrives is discarded, so
  // that the peer reads our last bytes instead of a reset.
  static void finish(std::unique_ptr<ByteStream> stream, Duration linger);
  // Breaks it off: what was not written is lost and the peer sees a reset, never an orderly end.
  static void abort(std::unique_ptr<ByteStream> stream);

  virtual const Address& peer_address() const = 0;
  virtual const Address& local_address() const = 0;
  // Where the peer wanted to go before the packet filter redirected it here. Unset when unknown.
  virtual Address original_destination() const { return {}; }
  // What TLS established; null on plain streams and before on_open.
  virtual const PeerIdentity* peer_identity() const { return nullptr; }
  virtual ByteView alpn() const { return {}; }   // negotiated protocol; empty when none

  // Above this backlog writers stop producing; see Connection.
  static constexpr size_t kBacklogMark = 256 * 1024;

 protected:
  virtual void finish_detached(Duration linger) = 0;  // called once by finish(); then destroyed
  virtual void abort_detached() = 0;                  // called once by abort(); then destroyed
};

}  // namespace tulle
