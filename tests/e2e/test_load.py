"""A small version of soak_load.py for every run: 20,000 requests, 5 reloads, nothing lost."""
import unittest

from load import LoadWhileReloading


class Load(LoadWhileReloading):
    def test_twenty_thousand_requests_during_five_reloads(self):
        self.run_load(requests=20_000, reloads=5, batch=5_000, wrk_seconds=2, patience=180)


if __name__ == "__main__":
    unittest.main()
