"""Answers kept, judged and chosen by, in sessions of models that have learned something."""

import json
import textwrap

import pytest
from judge_server import grades, serving
from made import flat_records
from pretrained import pretrain

from ohlora_fixtures.__main__ import main
from ohlora_fixtures.inputs.cases import answering_case
from ohlora_fixtures.results.answers import read_answers, write_answers

pytestmark = pytest.mark.slow

UNTUNED, TUNED = answering_case("learned", None), answering_case("learned", "r8")
BENCHES = ["benches/bench_inference.py", "benches/bench_fine_tuning.py"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two candidates, alike but that `learned` has seen the dialogues twelve times and `hardly` once."""
    return pretrain(tmp_path_factory.mktemp("pretrained") / "models", {"learned": 12, "hardly": 1})


@pytest.fixture
def run(suite, models):
    def with_models(*arguments):
        protocol = ["--protocol", "prompt_rows=81:93", "--lora-ranks", "8", "--results-dir", "out"]
        return suite.runpytest_forked(*BENCHES, *models.options, *protocol, *arguments)

    return with_models


def records_of(folder):
    return {record["case"]: record for record in flat_records(folder)}


def selection_of(folder):
    return json.loads((folder / "selection.json").read_text(encoding="utf-8"))


def answers_of(folder):
    """The answers of `learned`, which are different ones, and other ones after fine-tuning."""
    answers = read_answers(folder / "answers" / "learned.csv")
    assert list(answers) == [UNTUNED, TUNED]
    assert [given.prompt for given in answers[UNTUNED]] == [given.prompt for given in answers[TUNED]]
    assert [given.answer for given in answers[UNTUNED]] != [given.answer for given in answers[TUNED]]
    assert len({given.answer for given in answers[UNTUNED]}) == 12
    assert {given.is_cut_off for given in answers[UNTUNED]} >= {False}
    return answers


def test_answers_are_judged_untuned_and_tuned_and_chosen_by(suite, run, capsys):
    result = run("--protocol", "epochs=2")
    result.assert_outcomes(passed=4)
    folder = suite.path / "out"
    records = records_of(folder)
    untuned, tuned = records["bench_inference[learned]"], records["bench_fine_tuning[learned-r8]"]
    hardly = records["bench_inference[hardly]"]

    assert untuned["quality_score"] > hardly["quality_score"]
    assert untuned["quality_interval"][0] <= untuned["quality_score"] <= untuned["quality_interval"][1]
    assert untuned["quality_parts"]["said"] < 1
    parts = hardly["quality_parts"]  # of nonsense that does not look so bad
    assert (parts["matched"] < 0.1, parts["said"] > 0.3) == (True, True)
    assert (len(untuned["quality_each"]), len(tuned["quality_each"])) == (12, 12)
    assert untuned["held_out_nats_per_character"] < hardly["held_out_nats_per_character"]
    assert tuned["untuned_held_out_nats_per_character"] == untuned["held_out_nats_per_character"]
    assert tuned["trained_nats_per_character"] < tuned["untuned_trained_nats_per_character"]
    assert tuned["held_out_loss"] > tuned["held_out_nats_per_character"]  # a token has more than one character
    assert tuned["is_overfitted"] is False
    assert {record["not_judged"] for record in records.values()} == {None}

    answers = answers_of(folder)
    assert sum(given.tokens for given in answers[UNTUNED]) == untuned["tokens"]

    chosen = selection_of(folder)
    assert (chosen["choice"]["candidate"], chosen["reserve"]["candidate"]) == ("learned", "hardly")
    assert (chosen["choice"]["quality"]["source"], chosen["choice"]["quality"]["is_tuned"]) == ("computed", True)
    assert chosen["choice"]["quality"]["score"] == tuned["quality_score"]
    assert "Final choice: learned r8" in result.stdout.str()
    page = (folder / "comparison.md").read_text(encoding="utf-8")
    assert f"| learned | untuned | {untuned['quality_score']:.1f} |" in page
    assert f"| {tuned['trained_nats_per_character']:.3f} | {tuned['held_out_nats_per_character']:.3f} |" in page
    before = (folder / "records.jsonl").read_bytes()

    for given in answers[TUNED]:  # a person thinks otherwise, and writes so into the file that the session has left
        vars(given)["grade"] = "최하"
    write_answers(folder / "answers" / "learned.csv", answers)
    assert main(["report", str(folder)]) == 0
    chosen = selection_of(folder)  # of the other nobody has graded any, so the computed score compares them
    assert {each["quality"]["source"] for each in chosen["ranking"]} == {"computed"}
    assert (
        "a person's grades do not count, as not all options have them: learned r8 (12 of 12 answers)"
        in chosen["doubts"]
    )

    with serving(grades("최상")) as judge:
        asked = ["--judge", judge.url, "--judge-model", "some-model"]
        assert main(["report", str(folder), *asked]) == 0
    assert 24 < len(judge.requests) <= 48  # the same answer to the same prompt is asked about once
    by_name = {each["candidate"]: each["quality"] for each in selection_of(folder)["ranking"]}
    assert [by_name[name]["source"] for name in ("learned", "hardly")] == ["judge", "judge"]
    assert by_name["hardly"]["score"] == 90
    assert "Final choice: hardly r8 (최상 by the judge" in " ".join(capsys.readouterr().out.split())
    assert main(["report", str(folder), *asked]) == 0  # nobody answers there any more: what it said is kept
    assert "48 of 48 answers judged" in " ".join(capsys.readouterr().out.split())
    assert main(["report", str(folder), "--grades", str(folder / "nothing.csv")]) == 2
    assert (folder / "records.jsonl").read_bytes() == before


def test_training_rows_learned_by_heart_are_named(suite, run):
    result = run("-k", "fine_tuning and learned", "--protocol", "epochs=20", "--protocol", "learning_rate=0.01")
    result.assert_outcomes(passed=1, deselected=3)
    (record,) = records_of(suite.path / "out").values()
    assert record["trained_nats_per_character"] < 0.8 * record["untuned_trained_nats_per_character"]
    assert record["held_out_nats_per_character"] > record["untuned_held_out_nats_per_character"]
    assert record["is_overfitted"] is True
    assert "overfitted, the training rows memorised: learned r8" in result.stdout.str()


def test_a_card_too_full_to_judge_on_and_a_judge_that_is_down_leave_the_measurements(suite, run):
    (suite.path / "conftest.py").write_text(
        "pytest_plugins = ['ohlora_fixtures.plugin']\n"
        + textwrap.dedent("""
        import pytest

        @pytest.fixture
        def assessor(assessor):
            import torch

            def tuned(*_):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

            assessor.tuned = tuned
            return assessor
        """)
    )
    result = run("-k", "learned", "--protocol", "epochs=1", "--judge", "http://127.0.0.1:9", "--judge-model", "x")
    result.assert_outcomes(passed=2, deselected=2)
    assert result.ret == pytest.ExitCode.OK  # a judge that is down takes nothing either
    assert "0 of 24 answers judged" in " ".join(result.stdout.str().split())
    records = records_of(suite.path / "out")
    tuned = records["bench_fine_tuning[learned-r8]"]
    assert (tuned["outcome"], tuned["quality_score"]) == ("passed", None)
    assert tuned["not_judged"] == "the device's memory ran out while the answers were judged"
    assert tuned["seconds"] > 0
    chosen = selection_of(suite.path / "out")
    assert chosen["choice"]["quality"]["is_tuned"] is False  # of the untuned model, and the choice says so
    assert "the quality of every option is that of the untuned model's answers" in chosen["cautions"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--grades", "none.csv"], "none.csv cannot be read"),
        (["--grades", "graded.csv"], "'뭐?', which is not a prompt here"),
        (["--choice-weights", "quality=much"], "choice weight 'quality=much' is not NAME=WEIGHT"),
        (["--judge", "http://localhost:9"], "needs the name of a model there: give it with --judge-model"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_measured(suite, run, options, sentence):
    (suite.path / "graded.csv").write_text("candidate,prompt,grade\nlearned,뭐?,상\n", encoding="utf-8")
    result = run(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert sentence in result.stderr.str()
    assert not (suite.path / "out").exists()
