"""A million requests through a mutual TLS pair during fifty reloads: none may fail.

    ./tests/run --only soak
"""
import unittest

from load import LoadWhileReloading


class Soak(LoadWhileReloading):
    def test_a_million_requests_during_fifty_reloads(self):
        self.run_load(requests=1_000_000, reloads=50, batch=50_000, wrk_seconds=15, patience=1200)


if __name__ == "__main__":
    unittest.main()
