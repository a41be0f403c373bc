"""What the Hub says of the candidates' weights before anything is downloaded: whether they can be had, how large."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..base.errors import CandidateError, InputError, one_line
from ..base.files import replace_text
from ..base.units import MIB
from ..inputs.candidates import Candidate
from ..inputs.named_models import ADAPTER, CARD, CONFIG, FILES, ModelName, check_files

_TIMEOUT_SECONDS = 10
_BF16_BYTES = 2
_GB = 1e9
_WEIGHTS = (("model", ".safetensors"), ("pytorch_model", ".bin"))
"""Beginnings and endings of the names of files that transformers reads weights from, in its order of preference."""
_CACHED = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")

_WAYS_OUT = "take its weights from --model-dir, leave it out with -k, or take --weights random"


def check_downloads(candidates: Iterable[Candidate]) -> list[str]:
    """See that what is not in the Hub's cache yet can be downloaded, and has room on the disk.

    Returns what the user should know, a sentence each. Raises InputError for a Hub that cannot be reached, a
    repository or revision that is missing or gated or has no weights, and a disk that is too small.
    """
    notices, sizes_bytes = [], []
    for candidate in candidates:
        if _is_cached(candidate):
            continue
        files = _files(candidate)
        weights = weight_files([file.rfilename for file in files])
        if files and not weights:
            raise InputError(
                f"candidate {candidate.name!r}: the repository {candidate.repo} has no weights that transformers "
                f"reads, neither .safetensors nor .bin: correct repo, or {_WAYS_OUT}"
            )
        if weights and not weights[0].endswith(".safetensors"):
            notices.append(
                f"{candidate.repo} has no safetensors: its pickled weights are read, with PyTorch's unpickler for "
                "weights alone"
            )
        known = [file.size for file in files if file.rfilename in weights and file.size]
        sizes_bytes.append(sum(known) or _BF16_BYTES * candidate.parameters)
    if sizes_bytes:
        _check_disk(sum(sizes_bytes), len(sizes_bytes))
    return notices


def download_config(repo: str, path: Path) -> None:
    """Download a repository's config.json to a file of this machine.

    Raises CandidateError if the Hub does not give it, and InputError for a Hub that cannot be reached or a file that
    cannot be written.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        text = Path(hf_hub_download(repo, "config.json")).read_text(encoding="utf-8")
    except (HfHubHTTPError, HFValidationError) as error:
        raise CandidateError(f"the Hub does not give its config.json: {one_line(error, 160)}") from None
    except UnicodeDecodeError:
        raise CandidateError("its config.json is not UTF-8") from None
    except Exception as error:  # noqa: BLE001 - each HTTP library has errors of its own
        raise InputError(
            f"the Hub cannot be reached for {repo} ({one_line(error, 120)}): connect to the network, or put the "
            "config.json files that you have into a folder and give it to --configs"
        ) from None
    try:
        replace_text(path, text)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): choose another folder for --configs") from None


def weight_files(names: Sequence[str]) -> list[str]:
    """The files that transformers would read weights from."""
    for start, end in _WEIGHTS:
        if found := [name for name in names if name.startswith(start) and name.endswith(end)]:
            return found
    return []


def _is_cached(candidate: Candidate) -> bool:
    from huggingface_hub import try_to_load_from_cache

    def has(name: str) -> bool:
        return isinstance(try_to_load_from_cache(candidate.repo, name, revision=candidate.revision), str)

    return has("config.json") and any(map(has, _CACHED))


def _files(candidate: Candidate) -> Sequence[Any]:
    """The repository's files; none if the Hub answers with an error of its own, which loading will meet again."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    who = f"candidate {candidate.name!r}: the repository {candidate.repo}"
    api = HfApi()
    try:
        with _told_of(who, candidate.revision, "repo", _WAYS_OUT):
            info = api.model_info(
                candidate.repo, revision=candidate.revision, timeout=_TIMEOUT_SECONDS, files_metadata=True
            )
            if info.gated:
                api.auth_check(candidate.repo)
    except HfHubHTTPError:
        return ()
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - each HTTP library has errors of its own
        raise InputError(
            f"the Hub cannot be reached for {candidate.repo} ({one_line(error, 120)}): connect to the network, "
            "give --model-dir a folder with the weights, or take --weights random"
        ) from None
    return info.siblings or ()


def planning_files(named: ModelName) -> Path:
    """A folder of the Hub's cache with a repository's config.json, tokenizer and card, called after its commit.

    Without a network it is what was downloaded earlier. Raises InputError for a repository that is missing, gated or
    no model, for a file that is too large, and where neither the Hub nor an earlier download has it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        with _told_of(f"--model {named.text}", named.revision, "the name", "give --model a folder of yours"):
            return _downloaded(named)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - of the Hub, or of an HTTP library, each of which has its own
        try:
            folder = Path(snapshot_download(named.repo, revision=named.revision, local_files_only=True))
        except Exception:  # noqa: BLE001 - it is not there
            answers = "answers with an error" if isinstance(error, HfHubHTTPError) else "cannot be reached"
            raise InputError(
                f"the Hub {answers} for --model {named.text} ({one_line(error, 120)}): connect to the network, or give "
                "--model the folder of a model on this machine"
            ) from None
        check_files(named, {path.name for path in folder.iterdir()} - {ADAPTER})
        return folder


def _downloaded(named: ModelName) -> Path:
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().model_info(named.repo, revision=named.revision, timeout=_TIMEOUT_SECONDS, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    check_files(named, sizes)
    wanted = [name for name in FILES if name in sizes and (name != CARD or sizes[name] <= FILES[name])]
    if large := [name for name in wanted if sizes[name] > FILES[name]]:
        most = FILES[large[0]] // MIB
        raise InputError(f"--model {named.text} has a {large[0]} of more than {most} MiB: give another model")
    folder = Path(hf_hub_download(named.repo, CONFIG, revision=named.revision)).parent
    for name in wanted:
        hf_hub_download(named.repo, name, revision=folder.name)  # the commit: meanwhile a branch may go on
    return folder


@contextmanager
def _told_of(who: str, revision: str | None, mended: str, way_out: str) -> Iterator[None]:
    """Says in one sentence that a repository is gated, or missing, or has no such revision."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except GatedRepoError:
        raise InputError(
            f"{who} is gated: accept its terms on its page and log in with 'hf auth login', {way_out}"
        ) from None
    except RepositoryNotFoundError:
        raise InputError(
            f"{who} is missing on the Hub, or private: correct {mended}, log in with 'hf auth login', or {way_out}"
        ) from None
    except RevisionNotFoundError:
        raise InputError(f"{who} has no revision {revision!r}: correct revision, or {way_out}") from None


def _check_disk(needed_bytes: int, count: int) -> None:
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE).absolute()
    there = next(parent for parent in (cache, *cache.parents) if parent.exists())
    free_bytes = shutil.disk_usage(there).free
    if needed_bytes > free_bytes:
        what = f"the weights of {count} candidates" if count > 1 else "a candidate's weights"
        raise InputError(
            f"downloading {what} takes {needed_bytes / _GB:.1f} GB, but the disk of the Hub's cache {cache} has "
            f"{free_bytes / _GB:.1f} GB free: make room, point HF_HOME to another disk, or choose fewer with -k"
        )
