"""What the device can do at most by torch: a large product of matrices, a copy of an array."""

from __future__ import annotations

from collections.abc import Callable

from fewvid.bench.cases import Case
from fewvid.bench.peer.device import Device
from fewvid.bench.sizes import BYTES, Size
from fewvid.bench.timing import Ready


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases `product` and `copy`."""
    device = Device(size.dtype)

    def prepare(case: Case) -> Ready:
        if case.name == "product":
            a, b, c = (device.uniform(size.product, size.product) for _ in range(3))

            def call() -> None:
                device.torch.matmul(a, b, out=c)
                device.wait()

            return Ready(call)
        x, y = (device.uniform(size.copy // BYTES[size.dtype]) for _ in range(2))

        def copy() -> None:
            y.copy_(x)
            device.wait()

        return Ready(copy)

    return prepare
