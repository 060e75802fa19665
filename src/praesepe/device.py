"""Where to compute: a device by its name, if this machine has it."""

from __future__ import annotations

import torch

from praesepe.errors import InputError


def usable_device(device: str | torch.device) -> torch.device:
    """The device of a name; `InputError` where there is none of that name here."""
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(
            f"no device {device!r}", given=device, remedy="give cpu, cuda or cuda:0, cuda:1 …"
        ) from None
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device {device!s}: no such CUDA device is available here",
            given=device,
            remedy="compute on the processor",
            code="device='cpu'",
        )
    return found
