// worker_count: how many workers this process should run.
#pragma once

namespace tulle {

// One per whole CPU of the cgroup quota and the affinity mask, at least 1, at most 4.
unsigned worker_count();

}  // namespace tulle
