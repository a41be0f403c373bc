"""Marks of the study's 175 answers: `python tests/study_marks.py ANSWERS DATASET > data/reference/study_marks.csv`.

ANSWERS is the folder of the study's `inference_test_result_*.csv`, DATASET its dataset: neither is this project's to
publish (`data/reference/README.md` says where they are). An answer counts as cut off if it fills the study's 80 tokens.
"""

import csv
import sys
from pathlib import Path

from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.candidates import read_candidates, select_group
from ohlora_fixtures.inputs.dataset import read_dialogues
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.quality.scoring import Marks, marks_of, reference_of
from ohlora_fixtures.results.answers import GivenAnswer

MARKS = DATA / "reference" / "study_marks.csv"
PROTOCOL = Protocol()


def main(answers: Path, dataset: Path) -> None:
    """Print a row an answer."""
    dialogues = read_dialogues(dataset)
    reference = reference_of((*dialogues.usable_train_rows, *dialogues.usable_valid_rows))
    rows = dialogues.rows(PROTOCOL.prompt_rows)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("candidate", "row", *Marks._fields))
    for candidate in select_group(read_candidates(DATA / "candidates.toml"), "seed"):
        with (answers / f"inference_test_result_{candidate.name}.csv").open(encoding="utf-8", newline="") as file:
            given = [
                GivenAnswer(
                    row.prompt,
                    line["answer"].strip(),
                    is_cut_off=int(line["answer_tokens"]) >= PROTOCOL.max_length,
                    dataset_answer=row.answer,
                )
                for row, line in zip(rows, csv.DictReader(file), strict=True)
            ]
        for number, marks in enumerate(marks_of(given, reference), PROTOCOL.prompt_rows.start):
            writer.writerow((candidate.name, number, *(f"{share:.4g}" for share in marks)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
