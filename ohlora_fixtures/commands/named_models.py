"""`candidates --model`: the entries of models that are named, to be kept, or changed by hand."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..base import safe_text
from ..base.errors import InputError
from ..base.files import MOST_SETTINGS_BYTES, read_bytes, replace_bytes
from ..base.installation import DATA
from ..inputs.candidates import DEFAULT_GROUP, Candidate, read_candidates
from ..inputs.dataset import OWN_DATASET, read_dialogues
from ..inputs.named_models import in_one_line, parse_name
from ..planner.plan import PlanStore
from ..session.named_models import complete, named_candidates
from .candidates_file import write_candidates
from .printing import say

_HEAD = (
    f'Candidates by name. The group is "{DEFAULT_GROUP}", the default of --candidate-group.',
    "From the models: parameters, target_modules, chars_per_token (over the suite's own dialogues). From their cards:",
    "licence, base model, Korean; what they were made from can bind, too. A text_template goes before a chat template.",
)


def write(texts: Sequence[str], into: Path) -> int:
    """Write the models' entries, with their config.json files beside them; the result is the exit status."""
    ours = read_candidates(DATA / "candidates.toml")
    dialogues = read_dialogues(OWN_DATASET)
    found = []
    for named in named_candidates([parse_name(text, Path()) for text in texts], ours):
        of_rows = dialogues.texts(named.text_template)
        candidate = named if named.parameters else complete(named, ours, of_rows, PlanStore(None))
        say(safe_text.line(in_one_line(candidate)))
        found.append((_with_config(replace(candidate, group=DEFAULT_GROUP), into.parent), ()))
    write_candidates(into, _HEAD, found, ())
    what = "1 candidate" if len(found) == 1 else f"{len(found)} candidates"
    say(f"\nin {into}: {what}; run with pytest benches --candidates {into}")
    return 0


def _with_config(candidate: Candidate, folder: Path) -> Candidate:
    """The candidate with a config.json that stays: the Hub's cache may be cleared."""
    if candidate.folder(None) is not None or candidate.config.is_relative_to(DATA):
        return candidate
    path = folder / "configs" / f"{candidate.name}.json"
    try:
        replace_bytes(path, read_bytes(candidate.config, MOST_SETTINGS_BYTES))
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): choose another --into") from None
    return replace(candidate, config=path)
