import signal
import subprocess
import sys

import pytest

from tg_pipeline.machine import tether_exec
from tg_pipeline.machine.tether import tethered
from tg_pipeline_tests.processes import is_running, wait_until


def test_the_command_keeps_its_streams_arguments_and_exit_code() -> None:
    command = tethered([sys.executable, "-c", "import sys; print(sys.argv[1:]); sys.exit(3)", "a b", "--c"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("['a b', '--c']\n", 3)


@pytest.mark.parametrize("death_signal", [signal.SIGTERM, signal.SIGKILL])
def test_the_command_dies_with_a_starter_that_is_killed(death_signal: signal.Signals) -> None:
    program = (
        "import signal, subprocess, sys, time\n"
        "from tg_pipeline.machine.tether import tethered\n"
        f"child = subprocess.Popen(tethered(['sleep', '60'], death_signal=signal.Signals({int(death_signal)})))\n"
        "while not open(f'/proc/{child.pid}/cmdline').read().startswith('sleep'): time.sleep(0.01)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert is_running(pid)
        starter.kill()
    assert wait_until(lambda: not is_running(pid))


def test_a_command_whose_starter_is_gone_already_does_not_start() -> None:
    stranger = "1"
    command = [sys.executable, tether_exec.__file__, stranger, str(int(signal.SIGTERM)), "echo", "started"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 1)


def test_a_signal_that_does_not_exist_is_an_error() -> None:
    command = [sys.executable, tether_exec.__file__, "1", "999", "echo", "started"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "prctl" in done.stderr
