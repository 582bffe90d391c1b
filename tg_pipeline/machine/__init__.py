"""What the machine gives: clocks, locks and leases of processes, atomic file replacement, child processes, HTTP."""
