"""A pretended GPU: CUDA devices, streams, events and graphs for tests, on a torch that was built without CUDA.

    with pretend_gpus(2, total=24e9, capability=(8, 6)) as gpus:
        ...                      # "cuda", "cuda:1", streams, events, graphs, threads
        assert not gpus.races    # work that nothing puts in order

A device's tensors hold CPU tensors, and the CPU's kernels do every operation at once. What is pretended is where
tensors lie and in which order work is done: each stream has a vector clock, which events, waits and blocking copies
merge, and each piece of memory remembers who wrote and read it last. So values are always those of the right order;
what a real device could get wrong is reported in words.

Modelled, as CUDA and torch have it:
- tensors on several devices in one operation raise (except scalars, indices and copies); a device without a number is
  the current one, which each thread has for itself, like its current streams;
- reads and writes that nothing orders: between streams, and between a stream and the host (page-locked memory);
- memory that is given back while another stream still uses it (`record_stream` is missing);
- waits of the host: `gpus.waits`, with the line and the thread; `torch.cuda.set_sync_debug_mode` warns of them;
- graphs: captured work is not done until `replay`, on the same memory and with the numbers of the capture. Only work on
  the capturing stream is captured, so a graph of another device stays empty. Within a capture, waits fail; so do a
  wait for the whole device and a second capture from another thread. torch's own `torch.cuda.graph` runs on top, with
  its one capture stream for all devices;
- memory: bytes live and reserved for each stream, 32 streams of a priority in turn, OutOfMemoryError beyond `total`,
  what other programs take (`gpus.taken`);
- devices that do not exist (fewer than asked for, or none) or get lost (`gpus.lose`).

Not modelled: speed; the numbers and failures of CUDA's kernels (cuDNN, Triton, flash attention, 8 bits); fragmentation,
workspaces; parts of one piece of memory used by two streams (reported, though fine); order between the host's threads
(what one has waited for counts for all); forks within a capture; gradients; pickled tensors; random numbers of a
device (they are the CPU's).
"""

from .machine import Machine, Wait
from .memory import Allocation
from .switch import pretend_gpus
from .tensors import PretendTensor

__all__ = ["Allocation", "Machine", "PretendTensor", "Wait", "pretend_gpus"]
