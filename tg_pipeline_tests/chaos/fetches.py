"""Playing a schedule with fetches that are processes of their own, on accelerated time."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from tg_pipeline_tests.chaos.accelerated import steady
from tg_pipeline_tests.chaos.scene import Scene

STARTS = 40
SECONDS = 600.0


@dataclass
class Lane:
    """One chat's fetch: a process after the other until it is done."""

    chat: str
    process: "subprocess.Popen[str] | None" = None
    starts: int = 0
    not_before: float = 0.0
    done: bool = False


class Fetches:
    """`broken` names a build that is known to be wrong."""

    def __init__(self, scene: Scene, broken: str) -> None:
        self.scene = scene
        self.lanes = [Lane(chat) for chat in scene.chats]
        self.origin, self.began, self.broken = time.time(), steady(), broken

    @property
    def starts(self) -> int:
        return sum(lane.starts for lane in self.lanes)

    def run(self) -> None:
        give_up = time.monotonic() + SECONDS
        while not all(lane.done for lane in self.lanes):
            for lane in self.lanes:
                self._tend(lane)
            self._happen()
            if time.monotonic() > give_up or any(lane.starts > STARTS for lane in self.lanes):
                self.scene.troubles.append("it never ends")
                return
            self.scene.pause(0.003)

    def end(self) -> None:
        for lane in self.lanes:
            if lane.process is not None:
                lane.process.kill()
                lane.process.communicate()

    def _tend(self, lane: Lane) -> None:
        if lane.done:
            return
        if lane.process is None:
            if time.monotonic() >= lane.not_before:
                self._start(lane)
        elif lane.process.poll() is not None:
            self._ended(lane, lane.process)
            lane.process = None

    def _start(self, lane: Lane) -> None:
        schedule, first = self.scene.schedule, lane.starts == 0
        lane.starts += 1
        spec = {
            "chat": lane.chat,
            "days": schedule.shape[1],
            "origin": self.origin,
            "began": self.began,
            "jump": schedule.jump,
            "jump_after": schedule.jump_after if first else 0,
            "disk_bytes": schedule.disk_bytes if first else 0,
            "broken": self.broken,
        }
        lane.process = subprocess.Popen(
            [sys.executable, "-m", "tg_pipeline_tests.chaos.child", json.dumps(spec)],
            env=self.scene.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _ended(self, lane: Lane, process: "subprocess.Popen[str]") -> None:
        said, reported = process.communicate()
        troubles = self.scene.troubles
        if process.returncode not in {0, 1, 143, -signal.SIGKILL, -signal.SIGTERM}:
            troubles.append(f"exit code {process.returncode}")
        if "Traceback" in reported:
            troubles.append(f"a traceback: {reported.strip().splitlines()[-1]}")
        troubles += self.scene.ahead(lane.chat)
        lane.done = process.returncode == 0
        wait = json.loads(said)["wait"] if process.returncode == 1 and said else 0
        lane.not_before = time.monotonic() + wait / self.scene.speed

    def _happen(self) -> None:
        for event in self.scene.due():
            self.scene.events.remove(event)
            match event.kind:
                case "stop redis" if self.scene.redis:
                    self.scene.redis.stop()
                case "start redis" if self.scene.redis:
                    self.scene.redis.start()
                case _:
                    number = signal.SIGKILL if event.kind == "kill" else signal.SIGTERM
                    if (process := self.lanes[0].process) is not None:
                        self.scene.hit()
                        process.send_signal(number)
