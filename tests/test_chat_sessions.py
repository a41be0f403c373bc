"""Sessions of chat models, in the chat templates that their tokenizers bring along."""

import chat_templates as known
import pytest
from made import flat_records
from pretrained import pretrain

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two candidates without a text template; the chat template of the second loops over what it does not have."""
    made = pretrain(tmp_path_factory.mktemp("pretrained") / "models", {"good": 0, "broken": 0})
    lines = made.candidates.read_text(encoding="utf-8").splitlines()
    made.candidates.write_text("\n".join(line for line in lines if not line.startswith("text_template")))
    for name, template in (("good", known.ZEPHYR), ("broken", "{% for each in tools %}{{ each }}{% endfor %}")):
        (made.model_dir / name / "chat_template.jinja").write_text(template, encoding="utf-8")
    return made


def test_a_chat_model_is_planned_asked_and_trained_and_a_broken_template_is_its_own_models_error(suite, models):
    short = ["--protocol", "prompt_rows=81:83", "--protocol", "epochs=1", "--protocol", "max_length=120"]
    arguments = [*models.options, *short, "--lora-ranks", "8", "--results-dir", "out"]
    result = suite.runpytest_subprocess("benches", *arguments)
    result.assert_outcomes(passed=4, failed=2, errors=2)
    records = {record["case"]: record for record in flat_records(suite.path / "out")}
    for case, record in records.items():
        if "broken" in case:
            assert record["outcome"] == "error"
            assert "its chat template cannot be used (TypeError: 'NoneType' object is not iterable)" in record["reason"]
        else:
            assert (record["outcome"], record["tokenizer"]) == ("passed", "own")
            assert (record["long_answers"] is None, record["rows_cut"] is None) == ("r8" in case, "r8" not in case)
    planned, asked, tuned = (
        records[f"bench_{case}"] for case in ("plan[good-r8]", "inference[good]", "fine_tuning[good-r8]")
    )
    assert planned["rows_cut"] == tuned["rows_cut"] == 0
    assert asked["sampling"] == tuned["sampling"]
    assert asked["sampling"]["top_k"] == 50
