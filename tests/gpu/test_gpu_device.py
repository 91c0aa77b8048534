"""Which blocks get a mirror: opening, crossover, budget, faults. The driver takes memory and copies rows, and its kernels do nothing."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from brute_force import unit_rows
from drivers import cuda
from emulation import EmulatedDriver

from memory_mcp.models import NEVER, Filter, Points
from memory_mcp.tiers.resident import device as device_module
from memory_mcp.tiers.resident.block import Block
from memory_mcp.tiers.resident.device import Choice, Device
from memory_mcp.tiers.resident.driver import DeviceLostError, Driver
from memory_mcp.tiers.resident.gpu import GpuRows
from memory_mcp.tiers.resident.scan import View

ROWS, DIMENSION = 8192, 8
HELD_BYTES = 2 * DIMENSION * int(ROWS * 1.25)


class IdleDriver(EmulatedDriver):
    """Takes memory as a device does; nothing is computed."""

    def launch(self, kernel: str, grid: tuple[int, int], shared_bytes: int, *arguments: Any) -> None:
        if self.fault is not None:
            raise self.fault


def block_of(rows: int = ROWS) -> Block:
    vectors = unit_rows(np.random.default_rng(0), rows, DIMENSION)
    ids, empty = [UUID(int=i) for i in range(rows)], [""] * rows
    return Block(Points(ids, vectors, empty, empty, [()] * rows, np.zeros(rows, np.int64), np.full(rows, NEVER, np.int64)))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def device_of(driver: Driver | None = None, *, budget_bytes: int = 1 << 30, choice: Choice = "auto") -> tuple[Device, Clock, list[str]]:
    clock, said = Clock(), []
    given = driver or IdleDriver()
    return Device(choice, budget_bytes, said.append, lambda: given, clock, least_rows=1000), clock, said


def on_device(view: View) -> bool:
    return any(isinstance(one, GpuRows) for one in view.proposers)


def hold(device: Device, block: Block) -> bool:
    """As a search does; whether the block has a mirror afterwards."""
    if device.wants(block):
        device.hold(block)
    return block in device._mirrors


def test_large_blocks_are_held_and_small_ones_are_not() -> None:
    device, _, _ = device_of()
    small = block_of(500)

    assert not device.wants(small)
    assert device.figures() == {"device": "not asked for yet"}
    large = block_of()
    assert hold(device, large)
    assert not device.wants(large)
    figures = device.figures()
    assert (figures["device"], figures["device_scopes"], figures["device_bytes"]) == ("gpu", 1, HELD_BYTES)


def test_a_block_that_is_gone_takes_its_mirror_along() -> None:
    device, _, _ = device_of()
    block = block_of()
    hold(device, block)
    del block

    assert device.figures()["device_bytes"] == 0


def test_the_least_recently_used_make_room_unless_just_used() -> None:
    device, clock, _ = device_of(budget_bytes=int(2.5 * HELD_BYTES))
    first, second, third = (block_of() for _ in range(3))
    assert hold(device, first)
    clock.now = 1.0
    assert hold(device, second)
    assert not hold(device, third), "both were used just now"
    clock.now = 20.0
    device.wants(second)
    clock.now = 21.0

    assert hold(device, third)
    assert set(device._mirrors) == {second, third}
    assert device.figures()["device_evictions"] == 1
    assert first.search(np.eye(DIMENSION, dtype=np.float32)[:1], Filter(), 3)


def test_a_block_larger_than_the_budget_is_left_and_asked_about_later_again() -> None:
    device, clock, _ = device_of(budget_bytes=HELD_BYTES - 1)
    block = block_of()

    assert not hold(device, block)
    assert not device.wants(block)
    clock.now = 60.0
    assert device.wants(block)


def test_without_a_budget_half_of_what_is_free_is_taken() -> None:
    device, _, _ = device_of(IdleDriver(room=1 << 20), budget_bytes=0)
    hold(device, block_of())

    assert device.figures()["device_budget_bytes"] == 1 << 19


def test_what_has_grown_beyond_the_budget_is_let_go() -> None:
    device, clock, _ = device_of(budget_bytes=int(2.2 * HELD_BYTES))
    first, second = block_of(), block_of()
    hold(device, first)
    clock.now = 1.0
    hold(device, second)
    (rows,) = [mirror for block, mirror in device._mirrors.items() if block is second]
    rows.reserve(2 * ROWS)

    assert device.wants(second)
    device.hold(second)
    assert list(device._mirrors) == [second]


def test_memory_that_runs_out_shrinks_the_budget_to_what_is_held() -> None:
    """Somebody else has taken it."""
    device, clock, _ = device_of(IdleDriver(room=int(2.2 * HELD_BYTES)))  # working memory included
    first, second = block_of(), block_of()
    assert hold(device, first)
    clock.now = 100.0

    assert not hold(device, second)
    figures = device.figures()
    assert figures["device_budget_bytes"] == figures["device_bytes"] == HELD_BYTES
    assert "memory ran out" in str(figures["device_note"])
    clock.now = 1000.0
    assert not device.wants(second)


def test_a_lost_device_is_given_up_for_good_and_said_once() -> None:
    driver = IdleDriver()
    device, clock, said = device_of(driver)
    held, other = block_of(), block_of()
    assert hold(device, held)
    driver.fault = DeviceLostError("The GPU failed.")
    assert not hold(device, other)
    driver.fault = None
    clock.now = 1e6

    assert not device.wants(other)
    assert not device.wants(held)
    assert said == ["Vectors are searched in this machine's memory from now on. The GPU failed."]
    assert device.figures() == {
        "device": "cpu",
        "device_note": "The GPU failed.",
        "device_bytes": 0,
        "device_budget_bytes": 1 << 30,
        "device_scopes": 0,
        "device_least_rows": 1000,
        "device_evictions": 0,
    }
    assert held.search(np.eye(DIMENSION, dtype=np.float32)[:1], Filter(), 3)


@pytest.mark.parametrize(("choice", "sentences"), [("auto", 0), ("gpu", 1), ("cpu", 0)])
def test_the_absence_of_a_gpu_is_said_to_whoever_asked_for_one(choice: Choice, sentences: int) -> None:
    said: list[str] = []

    def absent() -> Driver:
        raise DeviceLostError("CuPy is not installed.")

    device = Device(choice, 0, said.append, absent, least_rows=1000)
    block = block_of()
    hold(device, block)

    assert said == ["Vectors stay in this machine's memory: CuPy is not installed."] * sentences
    assert device.figures()["device"] == "cpu"
    assert not device.wants(block)


def test_the_crossover_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device wins from 32,768 rows on."""
    monkeypatch.setattr(device_module, "_seconds", lambda view, queries: 2e-3 if on_device(view) else len(view.matrix) * 1e-7)
    device = Device("auto", 1 << 30, open_driver=IdleDriver)
    assert device.wants(block_of(8192))
    assert not hold(device, block_of(8192))

    assert device.least_rows == 32768
    assert not device.wants(block_of(20_000))
    assert hold(device, block_of(40_000))
    assert device.figures()["device_least_rows"] == 32768


def test_a_device_that_never_wins_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "_seconds", lambda view, queries: 1.0)
    device = Device("auto", 1 << 30, open_driver=IdleDriver)
    block = block_of()

    assert not hold(device, block)
    assert not device.wants(block)
    assert "not quicker" in str(device.figures()["device_note"])


def test_a_machine_without_a_gpu_or_cupy_says_so() -> None:
    driver, reason = cuda()

    assert driver is not None or reason.startswith(("no GPU: CuPy is not installed.", "no GPU: The GPU could not be opened"))
