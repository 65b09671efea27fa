"""Inits: each keeps its promise, on every body that it says it fits; and says so of those that it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kasmina.growth.inits import INITS, NEEDS_SAMPLE, aligned, unfit
from kasmina.growth.inits.sample_matrices import measured
from kasmina.growth.inits.two_layer import Matrix, TwoLayerBody, found
from kasmina.growth.recorder import SiteSample
from kasmina.records.observation import Kind

READ, OUT = 5, 3
KINDS: dict[Kind, tuple[int, ...]] = {"vector": (), "sequence": (4,), "image": (6, 4)}
MEASURED = sorted(NEEDS_SAMPLE)


class Odd(nn.Module):
    """An activation of a stranger's, with slope 1 at 0."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(hidden: int, activation: nn.Module | None = None, bias: bool = False) -> nn.Sequential:
    between = [] if activation is None else [activation]
    return nn.Sequential(nn.Linear(READ, hidden), *between, nn.Linear(hidden, OUT, bias=bias))


def narrow() -> nn.Sequential:
    """The body that the README shows."""
    return nn.Sequential(nn.Linear(READ, 8), nn.ReLU(), nn.Linear(8, OUT))


BODIES: dict[str, Callable[[], nn.Sequential]] = {
    "vector": lambda: linear(2, nn.ReLU()),
    "readme": narrow,
    "one neuron": lambda: linear(1, nn.GELU()),
    "two activations": lambda: nn.Sequential(nn.Linear(READ, 3), nn.Tanh(), Odd(), nn.Linear(3, OUT)),
    "dropout": lambda: nn.Sequential(nn.Linear(READ, 3), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3, OUT)),
    "no bias": lambda: nn.Sequential(nn.Linear(READ, 3, bias=False), nn.Tanh(), nn.Linear(3, OUT)),
    "sequence": lambda: linear(2, nn.ReLU()),
    "image": lambda: nn.Sequential(nn.Conv2d(READ, 4, 1), nn.ReLU(), nn.Conv2d(4, OUT, 1)),
    "kernel": lambda: nn.Sequential(
        nn.Conv2d(READ, 4, 3, padding="same", padding_mode="reflect"), nn.SiLU(), nn.Conv2d(4, OUT, 1, bias=False)
    ),
    "stride": lambda: nn.Sequential(nn.Conv2d(READ, 4, 3, 2, padding=1), nn.ReLU(), nn.Conv2d(4, OUT, 1)),
    "learned activation": lambda: nn.Sequential(nn.Linear(READ, 3), nn.PReLU(), nn.Linear(3, OUT)),
    "wide": lambda: linear(90, nn.ReLU()),
}
KIND: dict[str, Kind] = {"sequence": "sequence", "image": "image", "kernel": "image", "stride": "image"}


def sample(name: str = "vector", n: int = 40, seed: int = 0, dtype: torch.dtype = torch.float32) -> SiteSample:
    """Of a site for the body of that name: a wish that what is read explains in part, and what the target has not."""
    kind = KIND.get(name, "vector")
    g, where = generator(seed), KINDS[kind]
    read = torch.randn(n, *where, READ, generator=g)
    has = torch.relu(torch.randn(n, *where, 4, generator=g))
    part = torch.relu(read[..., :OUT] - 0.3) * torch.tensor([3.0, 2.0, 1.0])
    slope = part + 0.3 * torch.randn(n, *where, OUT, generator=g) + has[..., :OUT]
    if kind == "image":
        read, has, slope = (tensor.movedim(-1, 1) for tensor in (read, has, slope))
    if name == "stride":
        slope = slope[..., ::2, ::2]
    return SiteSample(read.to(dtype), has.to(dtype), slope.to(dtype), kind)


def built(name: str, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BODIES[name]()


def weight(body: nn.Sequential, layer: int) -> nn.Parameter:
    return body[layer].get_parameter("weight")


def slope(body: nn.Sequential, layer: int) -> Tensor:
    grad = weight(body, layer).grad
    assert grad is not None
    return grad


def fitting() -> list[tuple[str, str]]:
    return [(init, body) for init in INITS for body in BODIES if unfit(init, built(body)) is None]


def gradients(body: nn.Module, passed: SiteSample) -> None:
    """What ordinary training would give the body: the slope is the gradient of the loss where the seed adds."""
    body.zero_grad()
    (body(passed.input) * passed.output_grad).sum().backward()


def test_every_init_fits_nearly_every_body_here() -> None:
    missing = {(init, body) for init in INITS for body in BODIES} - set(fitting())
    assert missing == set()


@pytest.mark.parametrize(("init", "name"), fitting())
def test_an_init_leaves_a_seed_that_gives_numbers_and_can_learn(init: str, name: str) -> None:
    body, passed = built(name), sample(name)
    INITS[init](body, passed, generator())
    assert all(module.training for module in body.modules())
    assert body(passed.input).isfinite().all()
    body.eval()
    gradients(body, passed)
    assert slope(body, 0).abs().sum() + slope(body, -1).abs().sum() > 0


@pytest.mark.parametrize(("init", "name"), [(init, body) for init, body in fitting() if init != "tiny"])
def test_what_begins_at_zero_gives_zero(init: str, name: str) -> None:
    body, passed = built(name), sample(name)
    INITS[init](body, passed, generator())
    if init == "gradmax":
        assert not weight(body, 0).any()
    else:
        assert not body(passed.input).any()


@pytest.mark.parametrize(("init", "name"), fitting())
def test_random_numbers_are_the_seeds_own(init: str, name: str) -> None:
    """The global stream is not shifted, and has no say."""
    weights = []
    for stream in range(2):
        body, passed = built(name), sample(name, 300)
        torch.manual_seed(stream)
        before = torch.get_rng_state()
        INITS[init](body, passed, generator(5))
        assert torch.equal(torch.get_rng_state(), before)
        weights.append(nn.utils.parameters_to_vector(body.parameters()))
    assert torch.equal(*weights)


@pytest.mark.parametrize("init", ["orthogonal", "aligned"])
def test_another_generator_gives_other_weights(init: str) -> None:
    bodies = [built("readme") for _ in range(2)]
    for seed, body in enumerate(bodies):
        INITS[init](body, sample(), generator(seed))
    assert not torch.equal(weight(bodies[0], 0), weight(bodies[1], 0))


@pytest.mark.parametrize("name", ["vector", "readme", "kernel", "wide"])
def test_orthogonal_weights_are_orthonormal(name: str) -> None:
    body = built(name)
    INITS["orthogonal"](body, None, generator())
    rows = weight(body, 0).flatten(1)
    product = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    assert torch.allclose(product, torch.eye(len(product)), atol=1e-5)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh(), Odd(), nn.GELU()])
@pytest.mark.parametrize("hidden", [1, 2, 3])
def test_gradmax_has_the_largest_gradient_of_all_directions(hidden: int, activation: nn.Module) -> None:
    body, passed = linear(hidden, activation), sample()
    INITS["gradmax"](body, passed, generator())
    gradients(body, passed)
    best = slope(body, 0).norm()
    length = weight(body, -1).detach().norm()
    assert length == pytest.approx((OUT / 3) ** 0.5)
    for seed in range(30):
        directions = torch.linalg.qr(torch.randn(OUT, hidden, generator=generator(seed)))[0]
        with torch.no_grad():
            weight(body, -1).copy_(directions * length / hidden**0.5)
        gradients(body, passed)
        assert slope(body, 0).norm() <= best * (1 + 1e-5)


def explained(part: Tensor | Matrix, wish: Tensor | Matrix) -> float:
    """Squares of `wish` (n, out) that a linear map of `part` (n, k) explains."""
    part, wish = torch.as_tensor(part), torch.as_tensor(wish)
    basis, sizes, _ = torch.linalg.svd(part, full_matrices=False)
    basis = basis[:, sizes > 1e-9 * sizes[0]]
    return float((basis.T @ wish).square().sum())


@pytest.mark.parametrize("hidden", [1, 2, 3, 5])
def test_tiny_is_the_best_map_of_its_rank(hidden: int) -> None:
    """Against the closed form by another road (the wish's part in the span of what is read), and against chance."""
    body, passed = linear(hidden).double(), sample(dtype=torch.float64)
    INITS["tiny"](body, passed, generator())
    rows = measured(found(body), passed, generator())
    wish, read = torch.from_numpy(rows.left(rows.wish)), torch.from_numpy(rows.read)
    error = float((wish - body(read).detach()).square().sum())
    basis = torch.linalg.qr(read)[0]
    sizes = torch.linalg.svdvals(basis.T @ wish)[:hidden]
    assert error == pytest.approx(float(wish.square().sum() - sizes.square().sum()), rel=1e-9)
    for seed in range(30):
        incoming = torch.randn(READ, hidden, generator=generator(seed), dtype=torch.float64)
        assert error <= wish.square().sum() - explained(read @ incoming, wish) + 1e-9


def test_tiny_gives_both_sides_of_a_neuron_one_size() -> None:
    body, passed = linear(3).double(), sample(dtype=torch.float64)
    INITS["tiny"](body, passed, generator())
    incoming = (passed.input @ weight(body, 0).T).square().mean(0)
    assert torch.allclose(incoming, weight(body, -1).square().sum(0))


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.Sigmoid(), nn.GELU(), Odd()])
def test_tiny_takes_an_activation_by_its_slope(activation: nn.Module) -> None:
    """Of a wish so small that the activation is linear, with what it gives at 0 left out."""
    passed = sample(dtype=torch.float64)
    passed = SiteSample(passed.input, passed.target_input, passed.output_grad * 1e-6, passed.kind)
    plain, bent = linear(2).double(), linear(2, activation).double()
    for body in (plain, bent):
        INITS["tiny"](body, passed, generator())
    gave = bent(passed.input) - bent(passed.input * 0)
    assert torch.allclose(gave, plain(passed.input), rtol=0.05, atol=1e-8)


def test_tiny_wishes_for_all_where_the_target_reads_the_same() -> None:
    passed = sample(dtype=torch.float64)
    body = linear(2).double()
    INITS["tiny"](body, SiteSample(passed.input, passed.input, passed.output_grad, passed.kind), generator())
    error = float((-passed.output_grad - body(passed.input).detach()).square().sum())
    assert error <= passed.output_grad.square().sum() - 0.5 * explained(passed.input, -passed.output_grad)


def new(body: nn.Sequential, passed: SiteSample) -> float:
    """Share of what is left of the wish that the neurons of a body explain, without what the target has."""
    ends = found(body)
    rows = measured(ends, passed, generator())
    weight, bias = (value.detach().double().numpy() for value in (ends.first.weight, ends.first.bias))
    wish = rows.left(rows.wish)
    return explained(rows.left(ends.between(rows.read @ weight.T + bias)), wish) / float((wish**2).sum())


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh(), Odd()])
@pytest.mark.parametrize("hidden", [1, 3])
def test_aligned_neurons_explain_more_than_random_ones(hidden: int, activation: nn.Module) -> None:
    for seed in range(5):
        passed = sample(seed=seed)
        body = linear(hidden, activation)
        INITS["aligned"](body, passed, generator(seed))
        chosen = new(body, passed)
        drawn = []
        for other in range(30):
            INITS["aligned"](
                body,
                SiteSample(passed.input, passed.target_input, passed.output_grad * 0, passed.kind),
                generator(other),
            )
            drawn.append(new(body, passed))
        assert chosen >= sorted(drawn)[24]


@pytest.mark.parametrize("seed", range(5))
def test_aligned_picks_what_matching_pursuit_by_hand_picks(seed: int) -> None:
    g = generator(seed)
    neurons, wish = (torch.randn(50, width, generator=g, dtype=torch.float64) for width in (12, 3))
    whole = neurons.norm(dim=0) * 1.2
    picked = aligned.pick(neurons.numpy(), wish.numpy(), whole.numpy(), 6).tolist()
    by_hand: list[int] = []
    for _ in range(6):
        basis = torch.linalg.qr(neurons[:, by_hand])[0] if by_hand else neurons[:, :0]
        rest, left = (part - basis @ (basis.T @ part) for part in (neurons, wish))
        score = (rest.T @ left).norm(dim=1) / (rest.norm(dim=0) + aligned.FAINT * whole)
        score[by_hand] = -1
        by_hand.append(int(score.argmax()))
    assert picked == by_hand


@pytest.mark.parametrize("rank", [0, 1, 3, 40])
def test_aligned_picks_every_candidate_once_at_most_however_alike_they_are(rank: int) -> None:
    g = generator(rank)
    neurons = torch.randn(50, rank, generator=g, dtype=torch.float64) @ torch.ones(rank, 40, dtype=torch.float64)
    wish = torch.randn(50, 3, generator=g, dtype=torch.float64)
    picked = aligned.pick(neurons.numpy(), wish.numpy(), neurons.norm(dim=0).numpy(), 40)
    assert sorted(picked.tolist()) == list(range(40))


@pytest.mark.parametrize("name", ["image", "kernel", "stride"])
def test_rows_of_a_convolution_are_what_its_neurons_read(name: str) -> None:
    body, passed = built(name), sample(name)
    ends = found(body)
    by_rows = ends.patches(passed.input) @ ends.first.weight.flatten(1).T + ends.first.bias
    assert torch.allclose(by_rows, ends.rows(body[0](passed.input)), atol=1e-5)


@pytest.mark.parametrize("init", MEASURED)
def test_a_pixel_of_a_convolution_is_a_row(init: str) -> None:
    """An init makes of an image what it makes of its pixels one by one."""
    image = sample("image", 3)
    read, has, grad = (
        part.movedim(1, -1).flatten(0, -2) for part in (image.input, image.target_input, image.output_grad)
    )
    flat = SiteSample(read, has, grad, "vector")
    pixels, whole = linear(2, nn.Tanh()), nn.Sequential(
        nn.Conv2d(READ, 2, 1), nn.Tanh(), nn.Conv2d(2, OUT, 1, bias=False)
    )
    INITS[init](pixels, flat, generator())
    INITS[init](whole, image, generator())
    assert torch.equal(weight(pixels, 0), weight(whole, 0).flatten(1))
    assert torch.equal(weight(pixels, -1), weight(whole, -1).flatten(1))


DEGENERATE = {
    "constant": lambda s: SiteSample(s.input * 0 + 2, s.target_input * 0 + 1, s.output_grad, s.kind),
    "nothing read": lambda s: SiteSample(s.input * 0, s.target_input * 0, s.output_grad, s.kind),
    "no slope": lambda s: SiteSample(s.input, s.target_input, s.output_grad * 0, s.kind),
    "one row": lambda s: SiteSample(s.input[:1], s.target_input[:1], s.output_grad[:1], s.kind),
    "fewer rows than weights": lambda s: SiteSample(s.input[:3], s.target_input[:3], s.output_grad[:3], s.kind),
    "twice the same": lambda s: SiteSample(
        s.input[:, [0] * READ], s.target_input[:, [0] * 4], s.output_grad[:, [0] * OUT], s.kind
    ),
    "reads what it has": lambda s: SiteSample(s.input, s.input, s.output_grad, s.kind),
    "large": lambda s: SiteSample(s.input * 1e6, s.target_input * 1e6, s.output_grad * 1e6, s.kind),
    "small": lambda s: SiteSample(s.input * 1e-12, s.target_input * 1e-12, s.output_grad * 1e-12, s.kind),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("init", INITS)
def test_degenerate_samples_give_finite_weights(init: str, case: str, dtype: torch.dtype) -> None:
    for name in ("vector", "readme", "learned activation", "kernel", "wide"):
        body = built(name).to(dtype)
        INITS[init](body, DEGENERATE[case](sample(name, dtype=dtype)), generator())
        for parameter in body.parameters():
            assert parameter.isfinite().all() and parameter.dtype == dtype


class Gated(nn.Module):
    pass


UNFIT = [
    ("zero_out", Gated(), "Gated"),
    ("aligned", nn.Sequential(nn.LayerNorm(READ), nn.Linear(READ, 2), nn.GELU(), nn.Linear(2, OUT)), "LayerNorm"),
    ("aligned", linear(2), "no activation"),
    ("tiny", nn.Sequential(nn.Linear(READ, 4), nn.LayerNorm(4), nn.Linear(4, OUT)), "LayerNorm"),
    ("tiny", nn.Sequential(nn.Linear(READ, 4), nn.Softmax(-1), nn.Linear(4, OUT)), "Softmax"),
    ("tiny", nn.Sequential(nn.Linear(READ, 4), nn.Hardshrink(), nn.Linear(4, OUT)), "flat"),
    ("gradmax", nn.Sequential(nn.Linear(READ, 4, bias=False), nn.ReLU(), nn.Linear(4, OUT)), "no gradient"),
    ("gradmax", nn.Sequential(nn.Conv2d(READ, 4, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, OUT, 1)), "MaxPool2d"),
    ("aligned", nn.Sequential(nn.Conv2d(READ, 4, 1), nn.ReLU(), nn.Conv2d(4, OUT, 3)), "one pixel"),
    ("aligned", nn.Sequential(nn.Conv2d(4, 4, 1, groups=2), nn.ReLU(), nn.Conv2d(4, OUT, 1)), "groups"),
    ("aligned", nn.Sequential(nn.Linear(READ, 4), nn.ReLU(), nn.Conv2d(4, OUT, 1)), "Linear, ReLU, Conv2d"),
]


@pytest.mark.parametrize(("init", "body", "part"), UNFIT)
def test_a_body_that_an_init_does_not_fit_is_told_apart_and_why(init: str, body: nn.Module, part: str) -> None:
    why = unfit(init, body)
    assert why is not None and why.startswith(init) and part in why


@pytest.mark.parametrize("init", MEASURED)
def test_an_init_that_measures_says_so_without_a_sample(init: str) -> None:
    with pytest.raises(ValueError, match="no sample"):
        INITS[init](linear(2, nn.Tanh()), None, generator())


def test_ends_know_their_axis() -> None:
    ends = found(built("image"))
    assert isinstance(ends, TwoLayerBody) and ends.axis == 1 and found(built("vector")).axis == -1
