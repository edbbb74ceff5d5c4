// UvCell: a libuv handle that outlives its owner until libuv is done with it.
//
// libuv may touch a handle until uv_close's callback, which it guarantees to be the last. So the
// handle lives in a heap block of its own: the owner lets go with close() and may die at once;
// the callback deletes the block. Every trampoline looks at `owner` first: null means closed.
// Only core/net/*.cpp includes this.
#pragma once

#include <uv.h>

#include "core/net/loop.hpp"

namespace tulle {

inline uv_loop_t* uv_loop_of(Loop& loop) {
  auto* native = static_cast<uv_loop_t*>(loop.engine().native());
  ASSERT(native != nullptr);  // only the libuv engine has sockets
  return native;
}

template <class Handle, class Owner>
struct UvCell {
  UvCell(Loop& on, Owner& by) : loop(on), owner(&by) { loop.cell_opened(); }
  ~UvCell() { loop.cell_closed(); }
  UvCell(const UvCell&) = delete;
  UvCell& operator=(const UvCell&) = delete;

  static UvCell& of(void* raw_handle) {
    return *static_cast<UvCell*>(static_cast<uv_handle_t*>(raw_handle)->data);
  }
  void bind() { raw()->data = this; }  // after the handle's init
  void close() {
    owner = nullptr;
    uv_close(raw(), [](uv_handle_t* closed) { delete &of(closed); });
  }
  uv_handle_t* raw() { return reinterpret_cast<uv_handle_t*>(&handle); }

  Loop& loop;
  Owner* owner;
  Handle handle;
};

}  // namespace tulle
