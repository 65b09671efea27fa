"""The optimiser of a run, ready as soon as torch is.

Torch wraps its optimisers so that ``torch.compile`` leaves them out. The wrappers import ``torch._dynamo`` when the
optimiser is made, which takes as long as importing torch itself. The loop of a run is never compiled.
"""

from __future__ import annotations

from inspect import unwrap

import torch


class AdamW(torch.optim.AdamW):
    """AdamW of torch without the wrappers for ``torch.compile``; it is not differentiable itself."""

    add_param_group = unwrap(torch.optim.AdamW.add_param_group)
    state_dict = unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = unwrap(torch.optim.AdamW.load_state_dict)
    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients, or set them to zero."""
        if not set_to_none:
            unwrap(torch.optim.AdamW.zero_grad)(self, set_to_none=False)
            return
        # Torch opens a range for profilers, which takes many times as long as what is in it.
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
