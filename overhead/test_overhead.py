"""What the harness costs: `pytest overhead` trains one replica, every second step under the harness.

The bare steps are the workload alone. The others tick the clock and a progress line that reads the memory, as a
case on a terminal does. Two figures come out of the one run. The harness's share is the time spent in its own code
over the time of the bare steps: it is small and steady, and it is held to 1%. The ratio of the two kinds of steps
would also show what the harness slows down indirectly; it is printed with its spread, since one step differs from
the next by more than 1%.
"""

import statistics
import time
from itertools import pairwise

import torch

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.templates import encode_all
from ohlora_fixtures.inputs.variants import lora
from ohlora_fixtures.meters.memory import HostMemory
from ohlora_fixtures.meters.meter import WallClock, measure
from ohlora_fixtures.session.progress import Line, Progress
from ohlora_fixtures.workloads.fine_tuning import attach_adapter, fine_tune
from ohlora_fixtures.workloads.models import ModelSource, load

EPOCHS = 100
MOST_COST = 0.01


def test_the_harness_costs_at_most_one_percent(capsys):
    """Its share of a 50-step case on a replica, where it weighs most, is at most 1%."""
    torch.set_num_threads(1)
    protocol = Protocol(epochs=EPOCHS)
    dialogues = read_dialogues(DATA / "dialogues.csv")
    candidate = next(each for each in read_candidates(DATA / "candidates.toml") if each.name == "FinguAI-Chat-v1")
    source = ModelSource("mini", "random", None, allow_remote_code=False, device="cpu", seed=protocol.seed)
    loaded = load(candidate, source, dialogues.texts(candidate.text_template))
    rows = dialogues.rows(protocol.fine_tuning_rows)
    examples = encode_all(loaded.template, rows, protocol.max_row_tokens)
    adapted = attach_adapter(loaded.model, lora(16), candidate.target_modules, protocol)

    clock, memory = WallClock(), HostMemory()
    progress = Progress(Line(lambda _text: None, 80), memory.now_mib, lambda own: own, protocol.steps, "steps")
    marks, spent = [], []

    def alternate():
        if len(marks) % 2:
            spent.append(seconds_of(clock.tick) + seconds_of(progress.tick))
        marks.append(time.perf_counter())

    clock.start()
    fine_tune(adapted, loaded.tokenizer, examples, protocol, alternate)
    steps = [end - begin for begin, end in pairwise(marks)]
    harness, bare = steps[::2], steps[1::2]
    once = statistics.median(seconds_of(lambda: measure(lambda _tick: None, WallClock(), memory)) for _ in range(20))
    share = statistics.mean(spent) / statistics.mean(bare) + once / (Protocol().steps * statistics.mean(bare))
    ratios = statistics.quantiles((with_it / alone for with_it, alone in zip(harness, bare, strict=False)), n=4)
    with capsys.disabled():
        print(f"\n{len(steps)} steps in turn, bare median {statistics.median(bare) * 1e3:.2f} ms")
        print(
            f"harness: {statistics.mean(spent) * 1e6:.0f} us a step and {once * 1e6:.0f} us a case, {share:.3%} of it"
        )
        print(f"step with harness / bare step: median {ratios[1]:.3f}, quartiles {ratios[0]:.3f} to {ratios[2]:.3f}")
    assert share <= MOST_COST


def seconds_of(work):
    """Wall time that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
