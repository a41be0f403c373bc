import pytest
from made import said

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.inputs.protocol import Protocol, Rows, parse_protocol


def test_the_default_is_the_studys():
    protocol = Protocol()
    assert protocol.steps == 50
    assert len(protocol.prompt_rows) == 25
    assert protocol.changes() == ()


def test_settings_are_read_by_their_kind():
    protocol = parse_protocol(["epochs=1", "prompt_rows=0:3", "learning_rate=1e-3", "gradient_checkpointing=true"])
    assert protocol == Protocol(epochs=1, prompt_rows=Rows(0, 3), learning_rate=1e-3, gradient_checkpointing=True)


def test_changes_are_told_and_change_the_hash():
    protocol = parse_protocol(["epochs=1", "prompt_rows=81:83"])
    assert said(protocol.changes()) == ("epochs 1 instead of 10", "prompt_rows 81:83 instead of 81:106")
    assert protocol.hash() != Protocol().hash()
    assert parse_protocol(["epochs=10"]).hash() == Protocol().hash()


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("epochs", "is not NAME=VALUE"),
        ("epoch=1", "with one of the names lora_alpha, lora_dropout"),
        ("epochs=0", "needs a whole number from 1 to 10,000, such as epochs=10"),
        (f"epochs={'9' * 400}", "needs a whole number from 1 to 10,000"),
        (f"batch_size={'9' * 5000}", "needs a whole number from 1 to 1,000,000"),
        ("max_length=1000000000", "needs a whole number from 1 to 131,072"),
        ("epochs=1.5", "needs a whole number"),
        ("learning_rate=fast", "needs a finite number of at least 0"),
        ("learning_rate=nan", "needs a finite number of at least 0"),
        ("lora_dropout=1", "needs a number from 0 to below 1"),
        ("seed=4294967296", "seed='4294967296'"),
        ("prompt_rows=5", "needs a range START:STOP with START below STOP, such as prompt_rows=81:106"),
        ("prompt_rows=5:5", "needs a range"),
        ("gradient_checkpointing=maybe", "needs true or false"),
    ],
)
def test_other_settings_are_refused(setting, says):
    with pytest.raises(InputError, match=says):
        parse_protocol([setting])


def test_a_last_batch_that_is_not_full_is_a_step_too():
    assert Protocol(fine_tuning_rows=Rows(0, 5), epochs=2).steps == 4


def test_the_warm_up_can_be_switched_off_and_a_seed_be_zero():
    protocol = parse_protocol(["warm_up_steps=0", "warm_up_prompts=0", "seed=0"])
    assert (protocol.warm_up_steps, protocol.warm_up_prompts, protocol.seed) == (0, 0, 0)
