"""What holds for every test: nothing leaves this machine."""

import os

from tg_pipeline.resilience import loopback

# At import, before any test module: also what a module does when it is loaded is guarded, and every child process.
loopback.install()
os.environ.update(loopback.guarded_environment(os.environ))
