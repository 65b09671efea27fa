"""The optimiser of a run, ready as soon as torch is.

Torch wraps its optimisers so that ``torch.compile`` leaves them out. The wrappers import ``torch._dynamo`` when the
optimiser is made, which takes as long as importing torch itself. The loop of a run is never compiled.

Around each call torch also opens a range for profilers, which costs a step of a small network several percent of its
time, whether anybody profiles or not.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap

import torch
from torch._C._autograd import _profiler_enabled
from torch.optim import optimizer as hooks

_step = torch.no_grad()(unwrap(torch.optim.AdamW.step))
_profiled_step = torch.optim.AdamW.profile_hook_step(_step)
"""Step in a range for profilers, with the hooks that are registered around it."""


class AdamW(torch.optim.AdamW):
    """AdamW of torch without the wrappers for ``torch.compile``; it is not differentiable itself."""

    add_param_group = unwrap(torch.optim.AdamW.add_param_group)
    state_dict = unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = unwrap(torch.optim.AdamW.load_state_dict)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change the parameters by their gradients, and return the loss of `closure`, if there is one."""
        registered = self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks
        shared = hooks._global_optimizer_pre_hooks or hooks._global_optimizer_post_hooks
        seen = registered or shared or _profiler_enabled()
        return (_profiled_step if seen else _step)(self, closure)  # type: ignore[no-any-return]

    step.hooked = True  # type: ignore[attr-defined]  # or torch would wrap it, as it does with every optimiser's

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients, or set them to zero."""
        if not set_to_none:
            unwrap(torch.optim.AdamW.zero_grad)(self, set_to_none=False)
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
