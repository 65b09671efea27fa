"""Settings of the blueprints' tests: nothing here is large enough for several threads to help."""

import torch

torch.set_num_threads(1)
