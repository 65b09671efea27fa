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
    zero_grad = unwrap(torch.optim.AdamW.zero_grad)
    state_dict = unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = unwrap(torch.optim.AdamW.load_state_dict)
    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))
