"""A measured session calibrates plans: `pytest overhead -k calibrat`, on the CPU, whose pace nothing tells beforehand.

Each of the seed's seven mini replicas is trained while its work is counted, and then by the clock: CPU seconds on one
core, which other processes change little. The others' times tell the machine's pace, and that tells the time of the
one left out.
"""

import time

import torch

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates, select_group
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.pace import Pace
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.inputs.templates import encode_all
from ohlora_fixtures.inputs.variants import lora
from ohlora_fixtures.planner.allocator import Trace
from ohlora_fixtures.planner.seconds import Work, calibrated, seconds_of
from ohlora_fixtures.planner.tracer import StorageTracer
from ohlora_fixtures.workloads.fine_tuning import attach_adapter, detach_adapter, fine_tune
from ohlora_fixtures.workloads.models import ModelSource, load

PROTOCOL = Protocol()
SOME_CPU = Pace(operator_seconds=1e-5, flops_per_second=2e10, fp32_flops_per_second=2e10, bytes_per_second=1e10)
MOST_OFF = 0.25


def test_replicas_measured_here_tell_the_time_of_another_one(capsys):
    """The replica left out, of seven: its time is told to 25 %."""
    torch.set_num_threads(1)
    timed = {
        each.name: work_and_seconds(each) for each in select_group(read_candidates(DATA / "candidates.toml"), "seed")
    }
    off = {}
    with capsys.disabled():
        print(f"\n{'replica':<26} {'measured, s':>11} {'from the others':>16}")
        for name, (work, seconds) in timed.items():
            others = [each for other, each in timed.items() if other != name]
            told = seconds_of(work, calibrated(SOME_CPU, others)).seconds
            off[name] = abs(told / seconds - 1)
            print(f"{name:<26} {seconds:>11.2f} {told:>16.2f}")
        print(f"off by at most {max(off.values()):.1%}, {sum(off.values()) / len(off):.1%} in the mean")
    assert max(off.values()) <= MOST_OFF


def work_and_seconds(candidate):
    """What fifty steps of a candidate's replica do, and how long they take: the faster of two runs."""
    dialogues = read_dialogues(DATA / "dialogues.csv")
    source = ModelSource("mini", "random", None, allow_remote_code=False, device="cpu", seed=PROTOCOL.seed)
    loaded = load(candidate, source, dialogues.texts(candidate.text_template))
    rows = dialogues.rows(PROTOCOL.fine_tuning_rows)
    examples = encode_all(loaded.template, rows, PROTOCOL.max_row_tokens)

    def train():
        adapted = attach_adapter(loaded.model, lora(16), candidate.target_modules, PROTOCOL)
        began = time.process_time()
        fine_tune(adapted, loaded.tokenizer, examples, PROTOCOL, lambda: None)
        took = time.process_time() - began
        detach_adapter(adapted)
        return took

    tracer = StorageTracer(Trace(), 1, device_type="cpu")
    with tracer, tracer.modules_counted():
        train()
    made_bytes = sum(event for event in tracer.trace.events if event > 0)
    return tracer.done() + Work(made_bytes=made_bytes), min(train(), train())
