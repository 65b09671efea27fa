"""All built-in blueprints: sizes, shapes, that they begin by changing nothing, and that `fits` tells the truth."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import torch
from attrs import frozen
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

import kasmina_blueprints
from kasmina import Site
from kasmina.plugins.catalog import find
from kasmina.plugins.drivers import load
from kasmina.records.observation import Kind
from kasmina.testing import blueprint_checks
from kasmina_blueprints import parts

Module = TypeVar("Module", bound=nn.Module)
FOLDER = Path(kasmina_blueprints.__file__).parent
SMOOTH = ["gelu", "silu", "tanh", "sine"]
HIDDEN = st.integers(2, 9)


@frozen
class Claim:
    """What a blueprint's description says of it, told a second time."""

    options: dict[str, st.SearchStrategy[Any]]
    kinds: tuple[Kind, ...]
    fits: Callable[[Site], bool] = lambda site: True
    """Beyond the kind, and that time steps and pixels stay."""


def wide(site: Site) -> bool:
    return site.in_features > 1


def neighbours(site: Site) -> bool:
    return max(parts.positions(site, site.in_shape)) > 1


def two_layers(site: Site) -> bool:
    return ":" in site.name and len(set(site.name.split(":"))) == 2


ACTIVATIONS = st.sampled_from(["relu", *SMOOTH])
ALL: tuple[Kind, ...] = ("vector", "sequence", "image")
PLAIN: tuple[Kind, ...] = ("vector", "sequence")
CLAIMS = {
    "bottleneck": Claim({"hidden": HIDDEN, "activation": ACTIVATIONS}, ALL),
    "neurons": Claim(
        {
            "hidden": HIDDEN,
            "activation": st.sampled_from(["relu", "leaky_relu", "elu", "sigmoid", *SMOOTH]),
            "kernel": st.sampled_from([1, 3]),
        },
        ALL,
        lambda site: two_layers(site) and (site.kind != "image" or neighbours(site)),
    ),
    "lora": Claim({"rank": st.integers(1, 9)}, ALL),
    "glu": Claim({"hidden": st.integers(1, 9), "gate": st.sampled_from(["sigmoid", "gelu", "silu"])}, ALL),
    "norm_mlp": Claim({"hidden": st.integers(1, 9)}, PLAIN, wide),
    "conv": Claim({"hidden": HIDDEN, "activation": ACTIVATIONS}, ("sequence", "image"), neighbours),
    "depthwise": Claim({"activation": st.sampled_from(SMOOTH)}, ("image",), neighbours),
    "squeeze_excite": Claim(
        {"hidden": st.integers(1, 9)}, ("image",), lambda site: site.in_features == site.out_features
    ),
    "attention": Claim({"heads": st.integers(1, 3), "size": st.integers(1, 4)}, ("sequence",), neighbours),
    "mixture": Claim(
        {"members": st.lists(st.sampled_from(["lora", "glu", "bottleneck"]), min_size=1, max_size=3).map(tuple)}, ALL
    ),
}
NAMES = pytest.mark.parametrize("name", list(CLAIMS))
OURS = [point.load() for point in entry_points(group="kasmina.blueprints") if "kasmina_blueprints" in point.value]


@cache  # a mixture looks its members up among all that is installed
def made(name: str, **options: Any) -> Any:
    return load(find("blueprint", name))(**options)


@st.composite
def sites(draw: st.DrawFn, kinds: tuple[Kind, ...] = ALL) -> Site:
    """A site of any kind and form; widths, time steps and pixels may all change from its beginning to its end."""
    kind = draw(st.sampled_from(kinds))
    name = draw(st.sampled_from(["b", "a:b", "a:b", "b:b"]))
    widths, sizes = st.integers(1, 6), st.integers(1, 4)
    read = [draw(widths)]
    give = draw(st.sampled_from([read, [draw(widths)]])) if name != "b" else read
    there = [draw(sizes) for _ in range(ALL.index(kind))]
    here = draw(st.sampled_from([there, there, [draw(sizes) for _ in there]])) if name != "b" else there
    if kind == "image":
        return Site(name, kind, (*read, *there), (*give, *here))
    return Site(name, kind, (*there, *read), (*here, *give))


@st.composite
def blueprints(draw: st.DrawFn, name: str) -> tuple[Any, dict[str, Any]]:
    options = draw(st.fixed_dictionaries(CLAIMS[name].options))
    return made(name, **options), options


def fitting(name: str) -> st.SearchStrategy[Site]:
    return sites(CLAIMS[name].kinds).filter(lambda site: made(name).fits(site) is None)


def batch(site: Site, size: int = 3) -> torch.Tensor:
    return torch.randn(size, *site.in_shape, dtype=torch.double, generator=torch.Generator().manual_seed(size))


def woken(module: Module) -> Module:
    """The same module with weights that are all different, as they are after a while; biases above zero wake ReLUs."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, generator=generator)
        if parameter.dim() == 1:
            parameter.data.abs_()
    return module.double()


def described(name: str, what: str) -> str:
    """A line of the class's description, which `kasmina plugins show` prints and the README repeats."""
    (line,) = re.findall(rf"^    {what}: (.*)", type(made(name)).__doc__ or "", re.MULTILINE)
    return str(line)


def formula(name: str, site: Site, **options: Any) -> int:
    """The line `Parameters`, reckoned out."""
    text, _, hints = described(name, "Parameters").rstrip(".").partition(", ")
    known = {**options, "out": site.out_features, "in_": site.in_features}
    if hints.startswith("with k = "):
        over_image, _, elsewhere = hints.removeprefix("with k = ").partition(" over an image and ")
        known["k"] = eval(over_image if site.kind == "image" else elsewhere.split()[0], {}, known)
    number: int = eval(re.sub(r"\bin\b", "in_", text), {}, known)
    return number


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    "check",
    [pytest.param(check, id=f"{cls.__name__}-{check.name}") for cls in OURS for check in blueprint_checks(cls)],
)
def test_contract(check: Callable[[], None]) -> None:
    check()


@NAMES
@given(st.data())
@settings(deadline=None, max_examples=50)
def test_has_as_many_parameters_as_it_says(name: str, data: st.DataObject) -> None:
    site, (blueprint, options) = data.draw(fitting(name)), data.draw(blueprints(name))
    if name == "mixture":
        members = [count(made(member).build(site)) for member in options["members"]]
        options = {"theirs": sum(members), "members": len(members) if len(members) > 1 else 0}
    assert count(blueprint.build(site)) == formula(name, site, **options)


@NAMES
def test_its_description_says_where_it_fits_and_whence_it_comes(name: str) -> None:
    kinds = [kind for kind in ALL if f"{kind}s" in described(name, "Sites")]
    assert tuple(kinds) == CLAIMS[name].kinds or name == "mixture" and "members" in described(name, "Sites")
    assert re.match(r'[A-Z][^"]+, "\w+', described(name, "Source")), "whose idea, and the title"
    assert all(field.metadata["help"] for field in attrs.fields(type(made(name))) if field.init)


@NAMES
@given(st.data())
@settings(deadline=None, max_examples=50)
def test_adds_nothing_at_birth_and_something_later(name: str, data: st.DataObject) -> None:
    site, (blueprint, _) = data.draw(fitting(name)), data.draw(blueprints(name))
    module = blueprint.build(site).double()
    assert not module(batch(site)).any()
    assert woken(module)(batch(site)).any()


@NAMES
@pytest.mark.parametrize("kind", ALL)
@given(st.data())
@settings(deadline=None, max_examples=40)
def test_fits_what_it_says(name: str, kind: Kind, data: st.DataObject) -> None:
    """Told a second time: the kinds, time steps and pixels that stay, and what each needs beyond that."""
    site, claim = data.draw(sites((kind,))), CLAIMS[name]
    stay = parts.positions(site, site.in_shape) == parts.positions(site, site.out_shape)
    assert (made(name).fits(site) is None) == (kind in claim.kinds and stay and claim.fits(site))


@NAMES
@given(st.data())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
def test_where_it_does_not_fit_it_would_go_wrong(name: str, data: st.DataObject) -> None:
    """It cannot be built, or fails, or gives another shape, or has weights that nothing ever reaches."""
    site = data.draw(sites())
    reason = made(name).fits(site)
    # Where an image is as wide as it has channels, a map of its last axis would run, and mix pixels.
    assume(reason is not None and (site.kind != "image" or site.in_shape[0] != site.in_shape[2]))
    assert reason.startswith(f"{name} ") and "\n" not in reason and reason[-1] not in ".;"
    assume(name != "neurons" or two_layers(site))
    assert goes_wrong(made(name), site), reason


def slope(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None
    return tensor.grad


def goes_wrong(blueprint: Any, site: Site) -> bool:
    try:
        module = woken(blueprint.build(site))
        given = module(batch(site, 7))
    except (RuntimeError, IndexError, ValueError):
        return True
    if given.shape != (7, *site.out_shape):
        return True
    given.square().sum().backward()
    return any(bool((slope(parameter).abs() < 1e-10).any()) for parameter in module.parameters())


@given(st.sampled_from(["bottleneck", "neurons", "conv"]), st.data(), st.integers(2, 7), st.integers(0, 2**31))
@settings(deadline=None)
def test_few_relus_are_never_all_silent(name: str, data: st.DataObject, hidden: int, seed: int) -> None:
    """Whatever they read: all above zero, all below, or one sample alone."""
    torch.manual_seed(seed)
    site = data.draw(fitting(name))
    module = made(name, hidden=hidden, activation="relu").build(site).double()
    x = data.draw(st.sampled_from([batch(site, 1), batch(site, 1).abs(), -batch(site, 1).abs() - 3]))
    spoken = []
    relu = next(part for part in module.modules() if isinstance(part, nn.ReLU))
    relu.register_forward_hook(lambda module, args, output: spoken.append(output))
    module(x)
    axis = -1 if isinstance(module, nn.Sequential) and site.kind != "image" else 1
    assert (spoken[0] > 0).any(axis).all()


@pytest.mark.parametrize("name", ["bottleneck", "neurons", "conv"])
def test_a_single_relu_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="'hidden' must be >= 2 with 'relu'"):
        made(name, hidden=1, activation="relu")
    assert made(name, hidden=1, activation="gelu").hidden == 1


def test_from_eight_units_on_all_are_drawn_at_random() -> None:
    site = Site("b", "vector", (4,), (4,))
    weight = made("bottleneck", hidden=parts.ENOUGH_RELUS).build(site)[0].weight
    assert not torch.equal(weight[1], -weight[0])


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in CLAIMS for kind in CLAIMS[name].kinds])
def test_many_run_side_by_side_as_one(name: str, kind: Kind) -> None:
    """Stacked and mapped over, as where many members train in lock-step."""
    shape = {"vector": (4,), "sequence": (3, 4), "image": (4, 3, 5)}[kind]
    site, blueprint = Site("a:b", kind, shape, shape), made(name)
    modules = [woken(blueprint.build(site)) for _ in range(3)]
    for number, module in enumerate(modules):
        for parameter in module.parameters():
            parameter.data *= 0.5 + number
    stacked, _ = torch.func.stack_module_state(modules)
    x = batch(site)
    together = torch.func.vmap(lambda weights: torch.func.functional_call(modules[0], weights, (x,)))(stacked)
    assert torch.allclose(together, torch.stack([module(x) for module in modules]))


@pytest.mark.parametrize("name", ["neurons", "bottleneck"])
@pytest.mark.parametrize("kind", ALL)
def test_is_two_maps_and_an_activation_and_nothing_else(name: str, kind: Kind) -> None:
    """So that an export can fold it into the layers beside it, and an init knows which weights come in and go out."""
    shape = {"vector": (4,), "sequence": (3, 4), "image": (4, 3, 5)}[kind]
    module, due = made(name).build(Site("a:b", kind, shape, shape)), nn.Conv2d if kind == "image" else nn.Linear
    assert [type(module), *map(type, module)] == [nn.Sequential, due, nn.ReLU, due]
    assert module[0].bias is not None and module[2].bias is None


@pytest.mark.parametrize(
    ("layer", "kind", "shape"),
    [
        (nn.Linear, "vector", ()),
        (partial(nn.Conv2d, kernel_size=3, padding=1), "image", (4, 5)),
        (partial(nn.Conv2d, kernel_size=5, padding=2), "image", (4, 5)),
    ],
    ids=["linear", "3 x 3", "5 x 5"],
)
def test_neurons_are_a_wider_layer(
    layer: Callable[[int, int], nn.Linear | nn.Conv2d], kind: Kind, shape: tuple[int, ...]
) -> None:
    """Across a span over two layers: the same as one layer with the weights of both, side by side."""
    first, last = layer(3, 5), layer(5, 2)
    host = nn.Sequential(first, nn.Tanh(), last).double()
    options = {"kernel": first.kernel_size[0]} if isinstance(first, nn.Conv2d) else {}
    site = Site("0:2", kind, (3, *shape), (2, *shape))
    seed = woken(made("neurons", hidden=4, activation="tanh", **options).build(site))
    wide = nn.Sequential(layer(3, 9), nn.Tanh(), layer(9, 2)).double()
    with torch.no_grad():
        wide.get_parameter("0.weight").copy_(torch.cat([first.weight, seed[0].weight]))
        wide.get_parameter("0.bias").copy_(torch.cat([host.get_parameter("0.bias"), seed[0].bias]))
        wide.get_parameter("2.weight").copy_(torch.cat([last.weight, seed[2].weight], 1))
        wide.get_parameter("2.bias").copy_(host.get_parameter("2.bias"))
    x = batch(site)
    assert torch.allclose(host(x) + seed(x), wide(x))


def test_lora_is_a_changed_weight() -> None:
    seed = woken(made("lora", rank=2).build(Site("b:b", "vector", (3,), (4,))))
    x = torch.randn(7, 3, dtype=torch.double)
    assert torch.allclose(seed(x), x @ (seed[1].weight @ seed[0].weight).T)


def test_squeeze_excite_scales_each_channel_between_nothing_and_twice() -> None:
    site = Site("b", "image", (3, 4, 5), (3, 4, 5))
    x = batch(site)
    factor = (x + woken(made("squeeze_excite").build(site))(x)) / x
    assert torch.allclose(factor, factor[:, :, :1, :1].expand_as(factor))
    assert (0 <= factor).all() and (factor <= 2).all()


@given(st.integers(1, 3), st.integers(1, 4), st.integers(2, 5))
@settings(deadline=None, max_examples=30)
def test_attention_is_what_torch_calls_multi_head_attention(heads: int, size: int, length: int) -> None:
    width = heads * size
    seed = woken(
        made("attention", heads=heads, size=size).build(Site("b", "sequence", (length, width), (length, width)))
    )
    theirs = nn.MultiheadAttention(width, heads, bias=False, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(seed.qkv.weight)
        theirs.out_proj.weight.copy_(seed.out.weight)
    x = torch.randn(3, length, width, dtype=torch.double)
    assert torch.allclose(seed(x), theirs(x, x, x)[0])


@pytest.mark.parametrize("name", ["conv", "depthwise"])
def test_a_convolution_sees_its_neighbours_and_no_further(name: str) -> None:
    site = Site("b", "image", (2, 5, 5), (2, 5, 5))
    module = woken(made(name).build(site))
    x = batch(site, 1).requires_grad_()
    module(x)[0, :, 2, 2].sum().backward()
    seen = slope(x)[0].abs().sum(0) > 0
    assert seen[1:4, 1:4].all() and int(seen.sum()) == 9


def test_a_convolution_over_a_sequence_goes_along_time() -> None:
    site = Site("b", "sequence", (6, 3), (6, 3))
    x = batch(site, 1).requires_grad_()
    woken(made("conv", activation="tanh").build(site))(x)[0, 2].sum().backward()
    assert (slope(x)[0].abs().sum(1) > 0).tolist() == [False, True, True, True, False, False]


def test_every_file_is_registered_under_its_name() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "parts", "modules"}
    points = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())["project"]["entry-points"]
    named = points["kasmina.blueprints"]
    assert files == set(named) == set(CLAIMS)
    for name, point in named.items():
        assert point == f"kasmina_blueprints.{name}:{type(made(name)).__name__}"


def test_importing_all_of_them_imports_no_torch() -> None:
    names = ", ".join(f"kasmina_blueprints.{name}" for name in CLAIMS)
    subprocess.run([sys.executable, "-c", f"import sys, {names}; assert 'torch' not in sys.modules"], check=True)


@NAMES
def test_the_readme_says_the_same_of_it(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", (FOLDER.parents[1] / "README.md").read_text(), re.MULTILINE)
    _, fits, size, idea = row.split(" | ")
    assert fits + "." == described(name, "Sites")
    assert size.strip("`") == described(name, "Parameters").rstrip(".").split(", ")[0]
    description = type(made(name)).__doc__ or ""
    assert all(word in description for word in re.findall(r"\w+", idea))


@pytest.mark.parametrize(
    ("name", "kind", "block"),
    [
        ("bottleneck", "vector", 1),
        ("glu", "vector", 1),
        ("conv", "image", 9),
        ("conv", "sequence", 3),
        ("attention", "sequence", 4),
        ("norm_mlp", "vector", 8),
    ],
)
@pytest.mark.parametrize("width", [256, 768])
def test_where_a_host_is_wide_a_seed_is_by_default_a_part_of_a_block_of_that_sort(
    name: str, kind: Kind, block: int, width: int
) -> None:
    """`block`: the weights of a whole one, in squares of the width (a linear map 1, a feed-forward block 2 * 4)."""
    shape = {"vector": (width,), "sequence": (3, width), "image": (width, 3, 3)}[kind]
    part = count(made(name).build(Site("b", kind, shape, shape))) / (block * width**2)
    assert 0.15 < part < 0.55


@pytest.mark.parametrize("name", ["bottleneck", "neurons", "glu", "norm_mlp", "conv"])
@pytest.mark.parametrize("size", [1, 50, 1000, 12345])
def test_a_seed_has_the_size_that_is_due_less_a_unit_at_most(name: str, size: int) -> None:
    shape = (3, 5, 5) if name == "conv" else (6,)
    site = Site("a:b", "image" if name == "conv" else "vector", shape, shape, size)
    smallest, blueprint = (load(find("blueprint", name))(**options) for options in ({"hidden": 2}, {}))
    units = [sum(parameter.numel() for parameter in made.build(site).parameters()) for made in (smallest, blueprint)]
    assert units[1] <= units[0] or size - units[0] <= units[1] <= size
