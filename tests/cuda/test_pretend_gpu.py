"""The pretended GPU itself: that it sees what it is for."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Callable

import pytest
import torch

from ..pretend_gpu import Machine, guard

BIG = 1000


def races_of(gpus: Machine) -> list[str]:
    """What was found so far, which then counts as seen."""
    found = list(gpus.races)
    gpus.races.clear()
    return found


def in_a_thread(work: Callable[[], object]) -> list[BaseException]:
    """The errors that `work` raised in a new thread."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised


def test_numbers_are_the_cpus(gpus: Machine) -> None:
    x = torch.randn(4, 5)
    y = x.cuda()
    assert y.device == torch.device("cuda", 0)
    assert y.is_cuda
    assert torch.equal((y @ y.t()).cpu(), x @ x.t())
    assert torch.equal(y[1:, ::2].cpu(), x[1:, ::2])
    y[1] = 7
    assert y[1].tolist() == [7.0] * 5


@pytest.mark.parametrize("side", ["reads", "writes"])
def test_streams_without_a_wait_race(gpus: Machine, side: str) -> None:
    x = torch.zeros(BIG, device="cuda")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        _ = x.sum() if side == "reads" else x.add_(1)
    assert any("before" in race for race in races_of(gpus))
    torch.cuda.synchronize()
    x.add_(1)
    with torch.cuda.stream(stream):
        stream.wait_stream(torch.cuda.default_stream())
        x.add_(1)
    torch.cuda.current_stream().wait_event(stream.record_event())
    x.add_(1)
    assert races_of(gpus) == []


def test_page_locked_memory_that_is_read_too_early(gpus: Machine) -> None:
    x = torch.ones(BIG, device="cuda")
    host = torch.empty(BIG, pin_memory=True)
    host.copy_(x, non_blocking=True)
    there = torch.cuda.current_stream().record_event()
    host.sum()
    assert any("the host" in race for race in races_of(gpus))
    there.synchronize()
    assert host.numpy().sum() == BIG
    assert races_of(gpus) == []


def test_memory_given_back_while_another_stream_uses_it(gpus: Machine) -> None:
    def use_elsewhere(recorded: bool) -> None:
        x = torch.ones(BIG, device="cuda")
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            x.sum()
        if recorded:
            x.record_stream(stream)

    use_elsewhere(recorded=True)
    gc.collect()
    torch.empty(BIG, device="cuda")
    assert races_of(gpus) == []
    use_elsewhere(recorded=False)
    gc.collect()
    torch.empty(BIG, device="cuda")
    assert any("given back" in race for race in races_of(gpus))


def test_mixed_devices_raise(two_gpus: Machine) -> None:
    here, there, host = torch.ones(3, device="cuda:0"), torch.ones(3, device="cuda:1"), torch.ones(3)
    for a, b in ((here, there), (here, host), (host, there)):
        with pytest.raises(RuntimeError, match="same device"):
            torch.add(a, b)
    with pytest.raises(RuntimeError, match="same device"):
        torch.nn.functional.embedding(torch.arange(2), here.reshape(3, 1))
    with pytest.raises(TypeError, match=r"cpu\(\)"):
        here.numpy()
    assert (here + torch.tensor(1.0)).tolist() == [2.0] * 3  # a scalar may lie anywhere
    assert here[torch.tensor([0, 2])].shape == (2,)  # and indices of the CPU
    assert (there.to("cuda:0") + here).device == here.device


def test_waits_are_counted_by_line(gpus: Machine) -> None:
    x = torch.ones(3).pin_memory().to("cuda", non_blocking=True)
    y = x * 2
    assert gpus.waits == []
    assert y[0].item() == 2
    y.cpu()
    assert [wait.why for wait in gpus.waits] == ["_local_scalar_dense", "copy to the host"]
    assert all("test_pretend_gpu.py" in wait.where for wait in gpus.waits)
    torch.cuda.set_sync_debug_mode("warn")
    with pytest.warns(UserWarning, match="synchronizing"):
        y[x > 0]
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.card(total=10_000)
def test_memory_has_an_end(gpus: Machine) -> None:
    x = torch.empty(6000, dtype=torch.uint8, device="cuda")
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(6000, dtype=torch.uint8, device="cuda")
    assert torch.cuda.memory_allocated() == 6000
    del x
    assert torch.cuda.mem_get_info() == (4000, 10_000)  # the allocator keeps it
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.empty(6000, dtype=torch.uint8, device="cuda")  # and gives it back for another stream
    torch.cuda.empty_cache()
    gpus.taken[0] = 5000  # by another program
    assert torch.cuda.mem_get_info()[0] == 5000
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(6000, dtype=torch.uint8, device="cuda")


def test_each_thread_has_its_own_device(two_gpus: Machine) -> None:
    torch.cuda.set_device(1)
    assert torch.ones(1, device="cuda").device.index == 1
    seen: list[int] = []
    assert in_a_thread(lambda: seen.append(torch.ones(1, device="cuda").device.index)) == []
    assert seen == [0]
    with torch.cuda.device(0):
        assert torch.cuda.current_device() == 0
    assert torch.cuda.current_device() == 1


def test_devices_that_are_not_there(two_gpus: Machine) -> None:
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        torch.ones(1, device="cuda:2")
    x = torch.ones(3, device="cuda:1")
    two_gpus.lose(1)
    for work in (lambda: x + 1, lambda: torch.ones(1, device="cuda:1"), lambda: torch.cuda.synchronize(1)):
        with pytest.raises(RuntimeError, match="lost"):
            work()
    assert torch.ones(1, device="cuda:0").item() == 1


def test_no_device(no_gpus: Machine) -> None:
    assert not torch.cuda.is_available()
    assert torch.cuda.device_count() == 0
    with pytest.raises(RuntimeError, match="No CUDA GPUs"):
        torch.ones(1, device="cuda")


def test_a_graph_does_its_work_on_replay(gpus: Machine) -> None:
    x, total = torch.ones(3, device="cuda"), torch.zeros(3, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = x * 2
        total += y
    assert total.tolist() == [0.0] * 3
    assert not torch.equal(y, y)  # it was never computed
    for value in (1.0, 5.0):
        x.fill_(value)
        graph.replay()
        assert y.tolist() == [2 * value] * 3
    assert total.tolist() == [12.0] * 3
    assert gpus.captures == 1


def test_a_graph_whose_input_is_gone(gpus: Machine) -> None:
    graph, x = torch.cuda.CUDAGraph(), torch.ones(3, device="cuda")
    with torch.cuda.graph(graph):
        _ = x * 2
    graph.replay()
    assert races_of(gpus) == []
    del x
    gc.collect()
    graph.replay()
    assert any("given back" in race for race in races_of(gpus))


def test_a_wait_breaks_a_capture(gpus: Machine) -> None:
    x = torch.ones(3, device="cuda")
    before = torch.cuda.current_stream()
    with pytest.raises(RuntimeError, match="capture"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        x.sum().item()
    assert torch.cuda.current_stream() is not before  # torch leaves a failed capture's stream current
    torch.cuda.set_stream(before)


def test_work_on_another_device_is_not_captured(two_gpus: Machine) -> None:
    """torch.cuda.graph has one capture stream for all devices: that of the first one that captured."""
    x = torch.ones(3, device="cuda:1")
    with pytest.warns(UserWarning, match="empty"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        x.add_(1)  # cuda:0 is current
    assert x.tolist() == [2.0] * 3
    torch.cuda.set_device(1)
    with pytest.warns(UserWarning, match="empty"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        x.add_(1)
    assert two_gpus.captures == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=torch.cuda.Stream(1)):
            x.add_(1)
    assert two_gpus.captures == 1


def test_two_captures_at_once(two_gpus: Machine) -> None:
    x = torch.ones(3, device="cuda:0")

    def capture(device: int) -> None:
        torch.cuda.set_device(device)
        with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=torch.cuda.Stream(device)):
            pass

    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        x.add_(1)
        raised = in_a_thread(lambda: capture(1))
    assert "capturing" in str(raised[0])
    assert any("one in a process" in race for race in races_of(two_gpus))
    capturing = torch.cuda.graph(torch.cuda.CUDAGraph())
    capturing.__enter__()
    raised = in_a_thread(lambda: capture(0))  # which first waits for the device
    assert "capturing" in str(raised[0])
    with pytest.raises(RuntimeError, match="whole device"):
        capturing.__exit__(None, None, None)


def test_an_event_belongs_to_its_device(two_gpus: Machine) -> None:
    event = torch.cuda.Event()
    event.record()
    with pytest.raises(RuntimeError, match="does not match"):
        event.record(torch.cuda.default_stream(1))


def test_streams_come_round(gpus: Machine) -> None:
    streams = [torch.cuda.Stream() for _ in range(33)]
    assert len(set(streams)) == 32
    assert streams[0] is streams[32]


def test_a_torch_that_names_its_guards_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REGISTRY", "no_such_name")
    with pytest.raises(RuntimeError, match=r"pretend_gpu/guard\.py"):
        guard.let_devices_be_guarded()
