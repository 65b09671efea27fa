"""Sites in models never written for Kasmina: which tensor, which dimension is the batch's, and what is refused."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint

from kasmina.errors import UsageError
from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Durations
from kasmina.growth.recorder import ActivationRecorder
from kasmina.growth.seed import Seed
from kasmina.growth.sites.find import BoundSite, Build, find_sites
from kasmina.growth.sites.key_path import KeyPath, tensors
from kasmina.records import Site, Stage

BATCH, TIME, WIDTH = 4, 5, 6
Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Output:
    logits: Tensor
    states: tuple[Tensor, ...] = ()
    note: str = field(default="kept")


class Mine(OrderedDict[str, Any]):
    """A mapping with something of its own beside its keys, as HuggingFace's ModelOutput has."""

    extra = "none"


class Steps(nn.Module):
    """Runs its parts one after the other, as a function tells it."""

    def __init__(self, run: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            self.add_module(name, part)

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self, *args, **kwargs)


def linear() -> nn.Linear:
    return nn.Linear(WIDTH, WIDTH)


def vectors(batch: int = BATCH) -> Tensor:
    return torch.randn(batch, WIDTH)


def sequences(batch: int = BATCH) -> Tensor:
    return torch.randn(batch, TIME, WIDTH)


def build(site: Site) -> nn.Module:
    return nn.Sequential(nn.Linear(site.in_features, 3), nn.Tanh(), nn.Linear(3, site.out_features))


def grown(
    host: nn.Module, places: dict[str, BoundSite], name: str, stage: Stage = Stage.ACTIVE, build: Build = build
) -> Seed:
    manager = Manager(places, torch.optim.SGD(host.parameters(), 0.1), Durations(1, 1, 1))
    seed = manager.germinate(name, build, "plain")
    while seed.stage is not stage:
        if seed.stage is Stage.PROBATION:
            manager.keep(seed)
        else:
            manager.after_step()
    return seed


def refusal(host: nn.Module, pattern: str, sample: Any) -> str:
    with pytest.raises(UsageError) as caught:
        find_sites(host, [pattern], sample)
    return str(caught.value)


def gives(wrap: Callable[[Tensor], Any]) -> Steps:
    """A host whose module `inner` wraps up what a linear map gives."""
    inner = Steps(lambda self, x: wrap(self.map(x)), map=linear())
    return Steps(lambda self, x: self.inner(x), inner=inner)


WHOLES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "tensor": (lambda h: h, "inner"),
    "tuple": (lambda h: (None, h, 2 * h), "inner"),
    "second of a tuple": (lambda h: (None, h, 2 * h), "inner[2]"),
    "nested tuple": (lambda h: (h, (h + 1, h + 2)), "inner[1][0]"),
    "list": (lambda h: [h, h + 1], "inner[1]"),
    "named tuple": (lambda h: Pair(h, h + 1), "inner[1]"),
    "dict of one": (lambda h: {"h": h, "steps": 3}, "inner"),
    "dict": (lambda h: {"logits": h, "state": h + 1}, "inner[state]"),
    "list in a dict": (lambda h: {"states": [h, h + 1], "h": h}, "inner[states][1]"),
    "mapping": (lambda h: Mine(logits=h, state=h + 1), "inner[logits]"),
    "dataclass": (lambda h: Output(h, (h + 1,)), "inner[states][0]"),
    "dataclass of one": (lambda h: Output(h), "inner"),
    "torch's own": (lambda h: torch.sort(h), "inner"),
}


@pytest.mark.parametrize("name", WHOLES)
def test_a_seed_adds_to_the_tensor_that_was_named_and_to_nothing_else(name: str) -> None:
    wrap, pattern = WHOLES[name]
    host, x = gives(wrap), vectors()
    bare = host(x)
    places = find_sites(host, [pattern], x[:2])
    assert list(places) == [pattern] and places[pattern].site == Site(pattern, "vector", (WIDTH,), (WIDTH,))
    seed = grown(host, places, pattern)
    after, part = host(x), places[pattern].gives
    assert type(after) is type(bare)
    for (path, was), (same_path, now) in zip(tensors(bare), tensors(after), strict=True):
        assert path == same_path
        assert torch.equal(now, was + seed.body(was) if path == part.path else was)
    if isinstance(bare, Output):
        assert after.note == "kept"


def turned(module: nn.Module) -> Steps:
    """A host that gives its module time first, as torch's own do by default."""
    return Steps(lambda self, x: self.body(x.transpose(0, 1)), body=module)


TURNED: dict[str, tuple[Callable[[], nn.Module], str, tuple[int, ...]]] = {
    "layer": (lambda: nn.TransformerEncoderLayer(WIDTH, 2, 8, 0.0), "body", (TIME, WIDTH)),
    "within a layer": (
        lambda: nn.TransformerEncoderLayer(WIDTH, 2, 8, 0.0),
        "body.linear1:body.linear2",
        (TIME, WIDTH),
    ),
    "attention": (lambda: nn.TransformerEncoderLayer(WIDTH, 2, 8, 0.0), "body.self_attn", (TIME, WIDTH)),
    "lstm": (lambda: nn.LSTM(WIDTH, WIDTH), "body", (TIME, WIDTH)),
    "around an lstm": (lambda: nn.LSTM(WIDTH, WIDTH), "body:body", (TIME, WIDTH)),
    "its cell": (lambda: nn.LSTM(WIDTH, WIDTH, num_layers=2), "body[1][1]", (2, WIDTH)),
    "gru": (lambda: nn.GRU(WIDTH, WIDTH, bidirectional=True), "body", (TIME, 2 * WIDTH)),
    "its state": (lambda: nn.GRU(WIDTH, WIDTH), "body[1]", (1, WIDTH)),
}


@pytest.mark.parametrize("name", TURNED)
def test_a_batch_in_another_dimension_is_found_and_turned(name: str) -> None:
    module, pattern, shape = TURNED[name]
    torch.manual_seed(0)
    host, x = turned(module()).eval(), sequences()
    place = find_sites(host, [pattern], x[:2])[pattern]
    assert (place.site.kind, place.site.out_shape) == ("sequence", shape) and place.gives.batch == 1
    seed = grown(host, {pattern: place}, pattern)
    # Each sample alone gives what it gives among others: the seed never takes one for a moment of another.
    got: list[Tensor] = []
    seed.body.register_forward_pre_hook(lambda module, args: got.append(args[0]))
    host(x)
    for number in range(BATCH):
        host(x[number : number + 1])
    assert got[0].shape == (BATCH, *place.site.in_shape)
    assert torch.allclose(got[0], torch.cat(got[1:]), atol=1e-6)


def recurrent(self: Steps, x: Tensor) -> Any:
    first = self.lstm.batch_first
    h, _ = self.lstm(x if first else x.transpose(0, 1))
    return self.head(h if first else h.transpose(0, 1))


@pytest.mark.parametrize("site", ["lstm", "lstm:lstm", "lstm:head"])
def test_the_need_of_a_site_is_the_same_whichever_dimension_is_the_batch(site: str) -> None:
    needs = []
    for batch_first in (True, False):
        torch.manual_seed(0)
        host = Steps(recurrent, lstm=nn.LSTM(WIDTH, WIDTH, batch_first=batch_first), head=linear())
        watch = ActivationRecorder(find_sites(host, [site], sequences(2)))
        watch.start()
        for _ in range(8):
            host(sequences()).square().sum(2).mean().backward()
        needs.append(watch.needs()[site])
    assert needs[0] == pytest.approx(needs[1], rel=1e-5) and needs[0] > 0


def test_the_need_of_a_site_is_measured_on_texts_of_any_length() -> None:
    host = Steps(recurrent, lstm=nn.LSTM(WIDTH, WIDTH, batch_first=True), head=linear())
    watch = ActivationRecorder(find_sites(host, ["lstm"], sequences(2)))
    watch.start()
    for length in (5, 3, 5):
        host(torch.randn(BATCH, length, WIDTH)).square().sum(2).mean().backward()
    assert watch.samples()["lstm"].output_grad.shape == (2 * BATCH, 5, WIDTH)


def test_types_filter_names() -> None:
    host = nn.Sequential(linear(), nn.Sequential(linear(), nn.LSTM(WIDTH, WIDTH, batch_first=True)))

    def found(*patterns: str) -> list[str]:
        return list(find_sites(host, patterns, sequences(2)))

    assert found("@Linear") == found("*@Linear") == found("*@Lin*") == ["0", "1.0"]
    assert found("1.*@Linear") == ["1.0"]
    assert found("@RNNBase", "@LSTM[1][0]") == ["1.1", "1.1[1][0]"]
    assert found("0:@LSTM") == ["0:1.1"]
    assert found("1.[01]", "[0]") == ["1.0", "1.1", "0"], "brackets that name no tensor choose characters, as before"


def test_words_that_match_nothing_name_what_is_near() -> None:
    host = nn.Sequential(OrderedDict(first=linear(), again=nn.Tanh()))
    assert "no module 'frist'; the nearest: first" in refusal(host, "frist", vectors())
    assert "no module of type 'Linaer' there; the nearest: Linear" in refusal(host, "*@Linaer", vectors())
    assert "no module 'frist'; the nearest: first" in refusal(host, "frist[0]", vectors())


def test_a_module_under_two_names_is_one_site() -> None:
    part = linear()
    host = nn.Sequential(OrderedDict(first=part, act=nn.Tanh(), second=part))
    places = find_sites(host, ["*@Linear"], vectors())
    assert list(places) == ["first"] and places["first"].calls == 2
    assert "second is the same module as first: say first" in refusal(host, "second", vectors())


def embedded(self: Steps, ids: Tensor, *, mask: Tensor) -> dict[str, Tensor]:
    h = self.block(hidden=self.embed(ids), mask=mask)
    return {"logits": self.head(h.mean(1))}


def texts() -> Steps:
    block = Steps(lambda self, hidden, mask: self.map(hidden) * mask[..., None], map=linear())
    return Steps(embedded, embed=nn.Embedding(9, WIDTH), block=block, head=nn.Linear(WIDTH, 2))


IDS, MASK = torch.tensor([[1, 2, 3, 4, 0], [5, 6, 7, 0, 0]]), torch.tensor([[1.0, 1, 1, 1, 0], [1, 1, 1, 0, 0]])


def test_hosts_and_modules_may_be_called_by_keywords() -> None:
    host = texts()
    places = find_sites(host, ["block", "block:block", "block[hidden]:block"], {"ids": IDS, "mask": MASK})
    assert list(places) == ["block", "block:block", "block[hidden]:block"]
    assert {place.site.in_shape for place in places.values()} == {(5, WIDTH)}
    seed, seen = grown(host, places, "block[hidden]:block"), []
    seed.body.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    host(ids=IDS, mask=MASK)
    assert torch.equal(seen[0], host.embed(IDS))
    host(ids=IDS[:, :3], mask=MASK[:, :3])
    assert seen[1].shape == (2, 3, WIDTH), "a batch may be padded to another length than the probe's"


def test_hosts_may_take_several_arguments() -> None:
    host = Steps(lambda self, x, scale: self.map(x) * scale, map=linear())
    assert list(find_sites(host, ["*", "map:map"], (vectors(2), torch.ones(2, 1)))) == ["map", "map:map"]
    assert list(find_sites(host, ["map"], (vectors(2), 3.0))) == ["map"]


class Twice(nn.Module):
    """Gives bfloat16 in the trunk and float32 in the head."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = nn.Sequential(linear(), nn.Tanh()).to(torch.bfloat16), linear()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.trunk(x.bfloat16()).float())
        return y


def test_seeds_have_the_type_of_their_site() -> None:
    host, x = Twice(), vectors()
    places = find_sites(host, ["*"], x)
    assert {name: place.dtype for name, place in places.items()} == {
        "trunk": torch.bfloat16,
        "trunk.0": torch.bfloat16,
        "trunk.1": torch.bfloat16,
        "head": torch.float32,
    }
    seed = grown(host, places, "trunk.0")
    assert next(seed.body.parameters()).dtype is torch.bfloat16 and host(x).dtype is torch.float32
    assert "reads torch.bfloat16 and gives torch.float32" in refusal(host, "trunk:head", x)


class Float(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float()


@pytest.mark.parametrize("last", [nn.Identity, Float])
@pytest.mark.parametrize("stage", [Stage.TRAINING, Stage.BLENDING, Stage.ACTIVE])
def test_under_autocast_the_host_goes_on_with_the_types_that_it_had(
    stage: Stage, last: Callable[[], nn.Module]
) -> None:
    """Both ways: a seed that gives bfloat16 where the host gives float32, and one that gives float32 in bfloat16."""
    host, x = nn.Sequential(nn.Identity(), linear(), linear()), vectors()
    kinds: list[torch.dtype] = []
    seeds = [
        grown(host, find_sites(host, [name], x), name, stage, lambda site: nn.Sequential(build(site), last()))
        for name in ("0", "1")
    ]
    for module in host:
        module.register_forward_hook(lambda module, args, output: kinds.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        host(x).float().square().mean().backward()
    assert kinds == [torch.float32, torch.bfloat16, torch.bfloat16]
    assert all(parameter.grad is not None for seed in seeds for parameter in seed.body.parameters())


REFUSED: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "several in a dict": (
        lambda: gives(lambda h: {"a": h, "b": h}),
        "inner",
        "gives a dict with the keys 'a', 'b'; say which, as in 'inner[a]' or 'inner[b]'",
    ),
    "no such key": (lambda: gives(lambda h: {"a": h}), "inner[b]", "say which, as in 'inner[a]'"),
    "no such place": (lambda: gives(lambda h: (h,)), "inner[1]", "say which, as in 'inner[0]'"),
    "not a tensor": (lambda: gives(lambda h: (h, (h, h))), "inner[1]", "as in 'inner[0]' or 'inner[1][0]'"),
    "nothing": (lambda: gives(lambda h: None), "inner", "gives a NoneType; there is no tensor in it"),
    "never called": (
        lambda: Steps(lambda self, x: x @ self.weight.weight, weight=linear()),
        "weight",
        "is never called by the host's forward",
    ),
    "integers": (lambda: gives(lambda h: h.argmax(1, keepdim=True)), "inner", "gives torch.int64"),
    "no samples": (
        lambda: Steps(lambda self, x: x + self.where(torch.eye(WIDTH))[0], where=linear()),
        "where",
        "gives (6, 6) for any batch",
    ),
    "more than the batch": (
        lambda: gives(lambda h: h @ h.T),
        "inner",
        "gives (4, 4) for one batch and (5, 5) for another: more than the batch differs",
    ),
    "too many dimensions": (lambda: gives(lambda h: h[..., None, None, None]), "inner", "vectors, sequences or images"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_site_is_refused_with_the_reason(name: str) -> None:
    host, pattern, reason = REFUSED[name]
    message = refusal(host(), pattern, vectors())
    assert reason in message and pattern in message


def test_a_sample_that_cannot_be_made_longer_is_refused() -> None:
    host = Steps(lambda self, x: self.map(x.reshape(2, WIDTH)), map=linear())
    assert "fails with its first row once more in the end (RuntimeError" in refusal(host, "map", vectors(2))
    assert "must hold a tensor" in refusal(Steps(lambda self, n: self.map(torch.ones(n, 6)), map=linear()), "map", (2,))


def packed(self: Steps, x: Tensor) -> Any:
    lengths = torch.full((len(x),), TIME)
    lengths[-1] = 2
    out, _ = self.lstm(pack_padded_sequence(x, lengths, batch_first=True))
    return self.head(pad_packed_sequence(out, batch_first=True)[0][:, -1])


def test_packed_sequences_are_vectors_of_all_moments_in_a_row() -> None:
    host = Steps(packed, lstm=nn.LSTM(WIDTH, WIDTH, batch_first=True), head=linear())
    places = find_sites(host, ["lstm[0][0]"], sequences(2))
    assert places["lstm[0][0]"].site.kind == "vector"
    grown(host, places, "lstm[0][0]")
    host(sequences()).sum().backward()


def encoder(batch_first: bool = True) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 8, dropout=0.1, batch_first=batch_first)
    return nn.TransformerEncoder(layer, 2)


def fast(host: nn.Module, call: Callable[[], Any]) -> tuple[Any, int]:
    """What a call gives, and how many layers took torch's fused path."""
    counted, original = [], torch._transformer_encoder_layer_fwd

    def counts(*args: Any, **kwargs: Any) -> Any:
        counted.append(1)
        return original(*args, **kwargs)

    torch._transformer_encoder_layer_fwd = counts
    try:
        with torch.no_grad():
            return call(), len(counted)
    finally:
        torch._transformer_encoder_layer_fwd = original


@pytest.mark.filterwarnings("ignore:.*nested tensors.*")
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("site", ["layers.0", "layers.1.linear1", "layers.0.linear1:layers.0.linear2"])
def test_transformers_keep_their_fast_path_where_nothing_grows(site: str, padded: bool) -> None:
    host, x = encoder().eval(), sequences()
    mask = (torch.arange(TIME) >= torch.tensor([[5], [3], [5], [1]])) if padded else None
    call = lambda: host(x, src_key_padding_mask=mask)  # noqa: E731
    bare, count = fast(host, call)
    assert count == 2
    places = find_sites(host, [site], {"src": x, "src_key_padding_mask": mask})
    dormant, count = fast(host, call)
    assert count == 2 and torch.equal(dormant, bare)
    seed = grown(host, places, site)
    quick, count = fast(host, call)
    assert count == 1, "only the layer with a seed steps aside"
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        plain = fast(host, call)[0]
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    kept = slice(None) if mask is None else ~mask
    assert torch.allclose(quick[kept], plain[kept], atol=1e-5) and not torch.equal(quick[kept], bare[kept])
    with seed.muted():
        assert torch.equal(fast(host, call)[0], bare)


def test_the_probe_leaves_the_fast_path_as_it_was() -> None:
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        find_sites(encoder(), ["layers.0"], sequences())
        assert not torch.backends.mha.get_fastpath_enabled()
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def recomputing(self: Steps, x: Tensor, again: bool = True) -> Any:
    h = self.first(x)
    return self.head(checkpoint(self.block, h, use_reentrant=False) if again else self.block(h))


def recomputes() -> Steps:
    return Steps(recomputing, first=linear(), block=nn.Sequential(linear(), nn.Tanh(), linear()), head=linear())


def noisy(site: Site) -> nn.Module:
    return nn.Sequential(nn.Dropout(0.5), build(site))


@pytest.mark.parametrize("make", [build, noisy])
@pytest.mark.parametrize("site", ["first", "block", "block.0:block.2", "block.0", "block.0:head", "first:head"])
def test_gradients_are_the_same_when_activations_are_recomputed(site: str, make: Build) -> None:
    x, slopes = vectors(), []
    for again in (True, False):
        torch.manual_seed(0)
        host = recomputes()
        seed = grown(host, find_sites(host, [site], x), site, Stage.PROBATION, make)
        for _ in range(2):
            loss = host(x, again=again).square().mean()
            slopes.append(torch.autograd.grad(loss, [*host.parameters(), *seed.body.parameters()]))
    for one, other in zip(slopes[:2], slopes[2:], strict=True):
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def test_what_cannot_be_recomputed_is_refused() -> None:
    host, x = recomputes(), vectors()
    grown(host, find_sites(host, ["first:block.0"], x), "first:block.0")
    with pytest.raises(UsageError, match="'first:block.0' cannot be used with gradient checkpointing: one of its ends"):
        host(x).sum().backward()
    twice = lambda self, x: checkpoint(lambda x: self.part(self.part(x)), x, use_reentrant=False)  # noqa: E731
    host = Steps(twice, part=linear())
    grown(host, find_sites(host, ["part"], x), "part", build=noisy)
    with pytest.raises(UsageError, match="draws random numbers, and the host recomputes several calls of it"):
        host(x).sum().backward()


def test_a_part_is_found_and_replaced_again() -> None:
    x = torch.randn(3, 2, 4)
    part = KeyPath(("a", 1), batch=1)
    whole: dict[str, Any] = {"a": (1, x), "b": 2}
    assert part.of(whole).shape == (2, 3, 4)
    assert part.replaced(whole, part.of(whole) + 1)["a"][1].sub(1).allclose(x, atol=1e-6)
    assert torch.equal(whole["a"][1], x), "what the host gave stays as it was"
