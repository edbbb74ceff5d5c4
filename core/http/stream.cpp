#include "core/http/stream.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/memory_budget.hpp"
#include "core/base/poison.hpp"
#include "core/net/task.hpp"

namespace tulle {

// A ring of 1xx heads: those that arrived (client) or that wait to depart (server).
struct Interims {
  std::array<Head, 8> heads;
  size_t first = 0;
  size_t count = 0;

  bool full() const { return count == heads.size(); }
  Head& oldest() { return heads[first]; }
  Head& next() { return heads[(first + count) % heads.size()]; }
  void pop() {
    ASSERT(count > 0);
    first = (first + 1) % heads.size();
    --count;
  }
};

// Streams of this thread that wait for their next message, with the capacity they have grown.
class StreamPool {
 public:
  static Stream* take() {
    std::vector<Stream*>* const kept = list();
    if (kept == nullptr || kept->empty()) {
      charge_memory(MemoryUse::streams, kCharge);
      return new Stream;
    }
    Stream* stream = kept->back();
    kept->pop_back();
    ASAN_UNPOISON_MEMORY_REGION(stream, sizeof(Stream));
    return stream;
  }

  static void give_back(Stream* stream) {
    std::vector<Stream*>* const kept = list();
    if (kept == nullptr || kept->size() == kKept) return destroy(stream);
    kept->push_back(stream);
    ASAN_POISON_MEMORY_REGION(stream, sizeof(Stream));
  }

 private:
  // A burst must not pin its memory for ever: about 1 MiB at a typical 2 KiB, and nothing once the
  // thread has been idle for a while.
  static constexpr size_t kKept = 512;
  // What a stream weighs beside the heads and bodies, which are charged on their own: itself and
  // the short texts of its heads.
  static constexpr size_t kCharge = sizeof(Stream) + 256;

  struct OfThread {
    std::vector<Stream*> kept;
    OfThread() {
      kept.reserve(kKept);
      trim_with_thread([] { destroy_all(*list()); });
    }
    ~OfThread() {
      gone_ = true;
      destroy_all(kept);
    }
  };

  static void destroy(Stream* stream) {
    give_back_memory(MemoryUse::streams, kCharge);
    delete stream;
  }

  static void destroy_all(std::vector<Stream*>& kept) {
    for (Stream* stream : kept) {
      ASAN_UNPOISON_MEMORY_REGION(stream, sizeof(Stream));
      destroy(stream);
    }
    kept.clear();
  }

  // Null when the thread has already ended its pool; a stream of a static object may come later.
  static std::vector<Stream*>* list() {
    if (gone_) return nullptr;
    static thread_local OfThread pool;
    return &pool.kept;
  }
  static inline thread_local bool gone_ = false;
};

DirtyStreams::~DirtyStreams() {
  while (Stream* stream = live.pop_front()) stream->orphan();
}

Stream* DirtyStreams::take() {
  while (Stream* stream = list.pop_front()) {
    if (!stream->closed_by_codec()) return stream;
    if (stream->released()) stream->recycle();
  }
  return nullptr;
}

void StreamRelease::operator()(Stream* stream) const { stream->release(); }

Stream::Stream() = default;
Stream::~Stream() = default;

Stream* Stream::make(DirtyStreams& dirty, bool server, size_t inbound_limit,
                     size_t outbound_limit) {
  Stream* stream = StreamPool::take();
  stream->dirty_ = &dirty;
  stream->server_ = server;
  stream->inbound_limit_ = stream->inbound_most_ = static_cast<uint32_t>(inbound_limit);
  stream->outbound_limit_ = stream->outbound_most_ = static_cast<uint32_t>(outbound_limit);
  dirty.live.push_back(*stream);
  ++dirty.alive;
  return stream;
}

// ---- The handler's face ----------------------------------------------------------------------

const Head* Stream::interim() const {
  return !server_ && interims_ && interims_->count > 0 ? &interims_->oldest() : nullptr;
}

void Stream::drop_interim() {
  ASSERT(interim() != nullptr);
  interims_->pop();
}

Bytes Stream::receive(size_t max) {
  Bytes taken = inbound_.take(max);
  credit_ += taken.size();
  if (credit_ >= credit_step_ && !taken.empty()) mark_dirty();
  return taken;
}

void Stream::send_interim() {
  ASSERT(server_ && !outbound_head_ready_);
  if (!over()) {
    if (!interims_) interims_ = std::make_unique<Interims>();
    if (!interims_->full()) {
      std::swap(interims_->next(), outbound_head_);
      ++interims_->count;
      mark_dirty();
    }
  }
  outbound_head_.clear();
}

void Stream::send_head() {
  ASSERT(!outbound_head_ready_);
  if (over()) return;
  outbound_head_ready_ = true;
  outbound_ended_ = outbound_head_.ended;
  mark_dirty();
}

size_t Stream::room() const {
  if (over() || outbound_ended_) return 0;
  if (codec_closed_) return outbound_most_;
  if (outbound_.size() < outbound_limit_) return outbound_limit_ - outbound_.size();
  wants_room_ = true;
  return 0;
}

void Stream::send(Bytes&& body) {
  if (over() || codec_closed_ || body.empty()) return body.clear();
  ASSERT(!outbound_ended_ && body.size() <= outbound_most_ - outbound_.size());
  outbound_.append(std::move(body));
  mark_dirty();
}

void Stream::finish() {
  if (over() || outbound_ended_) return;
  ASSERT(outbound_head_ready_);
  outbound_ended_ = true;
  mark_dirty();
}

void Stream::cancel(Code why) {
  if (over() || (departed_ && inbound_ended_)) return;
  cancelled_ = why;
  inbound_.clear();
  outbound_.clear();
  mark_dirty();
}

// ---- The codec's face ------------------------------------------------------------------------

void Stream::head_arrived() {
  head_ready_ = true;
  if (head_.ended) inbound_ended_ = true;
  wake_owner();
}

Head* Stream::arriving_interim() {
  ASSERT(!server_);
  if (!interims_) interims_ = std::make_unique<Interims>();
  if (interims_->full()) return nullptr;
  interims_->next().clear();
  return &interims_->next();
}

void Stream::interim_arrived() {
  ASSERT(interims_ && !interims_->full());
  ++interims_->count;
  wake_owner();
}

size_t Stream::inbound_room() const {
  return inbound_.size() < inbound_limit_ ? inbound_limit_ - inbound_.size() : 0;
}

void Stream::body_arrived(ByteView bytes) {
  if (bytes.empty()) return;
  bytes_received_ += bytes.size();
  if (released_ || over()) return;
  const bool was_empty = inbound_.empty();
  inbound_.append(bytes);
  if (was_empty) wake_owner();
}

void Stream::body_arrived(Bytes&& bytes) {
  if (bytes.empty()) return;
  bytes_received_ += bytes.size();
  if (released_ || over()) return bytes.clear();
  const bool was_empty = inbound_.empty();
  inbound_.append(std::move(bytes));
  if (was_empty) wake_owner();
}

void Stream::end_arrived() {
  if (inbound_ended_ || failure_) return;
  inbound_ended_ = true;
  wake_owner();
}

void Stream::fail(Error error) {
  if (failure_) return;
  failure_ = std::move(error);
  outbound_.clear();
  wake_owner();
}

void Stream::limit_inbound(size_t limit) {
  const auto at_most = static_cast<uint32_t>(std::min<size_t>(limit, inbound_most_));
  if (at_most == inbound_limit_) return;
  inbound_limit_ = at_most;
  mark_dirty();
}

void Stream::evict() {
  evicted_ = true;
  wake_owner();
}

size_t Stream::take_credit() { return std::exchange(credit_, 0); }

const Head* Stream::departing_interim() const {
  return server_ && interims_ && interims_->count > 0 ? &interims_->oldest() : nullptr;
}

void Stream::interim_departed() {
  ASSERT(departing_interim() != nullptr);
  interims_->pop();
}

void Stream::body_departed(size_t count) {
  bytes_sent_ += count;
  if (!wants_room_ || outbound_.size() >= outbound_limit_) return;
  wants_room_ = false;
  wake_owner();
}

void Stream::limit_outbound(size_t limit, bool shut) {
  const auto at_most = static_cast<uint32_t>(std::min<size_t>(limit, outbound_most_));
  const bool news = at_most < outbound_limit_ || (outbound_limit_ == 0 && at_most > 0);
  outbound_limit_ = at_most;
  shut_ = shut;
  if (news) wake_owner();
}

void Stream::mark_departed() {
  if (departed_) return;
  departed_ = true;
  wake_owner();
}

void Stream::set_handler(std::unique_ptr<Task> handler) {
  ASSERT(!handler_);
  handler_ = std::move(handler);
}

void Stream::codec_closed() {
  codec_closed_ = true;
  if (released_) return recycle();
  outbound_.clear();
  if (std::exchange(wants_room_, false)) wake_owner();
}

void Stream::discard() {
  ASSERT(!handler_ && owner_ == nullptr && !released_);
  released_ = true;
  recycle();
}

// ---- Life ------------------------------------------------------------------------------------

void Stream::mark_dirty() {
  if (dirty_ == nullptr || (codec_closed_ && !released_)) return;
  auto& node = static_cast<ListNode<DirtyTag>&>(*this);
  if (!node.linked()) dirty_->list.push_back(*this);
  if (dirty_->flusher != nullptr) dirty_->flusher->flush_later();
}

void Stream::wake_owner() {
  if (owner_ != nullptr) owner_->wake();
}

void Stream::release() {
  ASSERT(!released_);
  owner_ = nullptr;
  const bool nothing_due = outbound_ended_ && (inbound_ended_ || server_);
  if (!nothing_due) cancel(Code::cancelled);
  released_ = true;
  inbound_.clear();
  // A client's codec that is done with it has nothing left to do, and no handler is parked there.
  if (codec_closed_ && !server_) return recycle();
  if (dirty_ != nullptr) return mark_dirty();
  // The codec is gone, and with it the handler, if one was parked here.
  recycle();
}

// The codec is being destroyed. Nothing of this stream is touched after its handler is gone: the
// handler's StreamRef, if it holds it, has recycled the stream.
void Stream::orphan() {
  --dirty_->alive;
  const Origin peer = server_ ? Origin::downstream : Origin::upstream;
  fail({Code::closed, peer, "the connection was closed"});
  static_cast<ListNode<DirtyTag>&>(*this).unlink();
  static_cast<ListNode<StreamTag>&>(*this).unlink();
  dirty_ = nullptr;
  peer_ = nullptr;
  codec_closed_ = true;
  std::unique_ptr<Task> handler = std::move(handler_);
  if (released_) recycle();
}

void Stream::recycle() {
  static_cast<ListNode<DirtyTag>&>(*this).unlink();
  static_cast<ListNode<StreamTag>&>(*this).unlink();
  static_cast<ListNode<LiveTag>&>(*this).unlink();
  handler_.reset();
  DirtyStreams* const home = dirty_;
  reset();
  StreamPool::give_back(this);
  if (home == nullptr || --home->alive > 0 || home->flusher == nullptr) return;
  home->flusher->flush_later();
}

void Stream::reset() {
  dirty_ = nullptr;
  owner_ = nullptr;
  head_.clear();
  inbound_.clear();
  inbound_trailers_.clear();
  outbound_head_.clear();
  outbound_.clear();
  outbound_trailers_.clear();
  if (interims_) interims_->first = interims_->count = 0;
  failure_.reset();
  cancelled_.reset();
  credit_ = 0;
  credit_step_ = 1;
  bytes_received_ = bytes_sent_ = 0;
  peer_ = nullptr;
  wire_id = 0;
  wire_flags = 0;
  wire_count = 0;
  server_ = head_ready_ = inbound_ended_ = outbound_head_ready_ = head_departed_ = false;
  outbound_ended_ = departed_ = released_ = codec_closed_ = reused_connection_ = false;
  untouched_ = true;
  wants_room_ = false;
  evicted_ = shut_ = false;
}

}  // namespace tulle
