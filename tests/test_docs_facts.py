"""What the docs say of the code: quoted messages, cards and builds, a profile, the protocol."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from test_docs import DOCS, ROOT, blocks, read
from test_preflight import CU126, CU130, M6000, T4

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.installation import DATA
from ohlora_fixtures.inputs.gpu_profiles import read_profiles
from ohlora_fixtures.inputs.pace import NATIVE_BF16
from ohlora_fixtures.inputs.protocol import Protocol
from ohlora_fixtures.session.preflight import check_card, has_kernels


def sentences() -> Iterator[str]:
    """Every text in the code and the English ones beside it; `...` where something is put in."""
    for path in (ROOT / "ohlora_fixtures").rglob("*.toml"):
        for said in (text for table in tomllib.loads(read(path)).values() for text in table.values()):
            yield re.sub(r"\{[\w:.%,]*\}", "...", said["en"])
    for path in (ROOT / "ohlora_fixtures").rglob("*.py"):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"\{[\w:.]*\}", "...", node.value)


def quoted_messages():
    return re.findall(r"^\| `([^`]+)` \|", read(DOCS / "troubleshooting.md"), re.MULTILINE)


def test_messages_are_quoted_as_the_code_says_them():
    said = list(sentences())
    assert len(quoted_messages()) > 50
    patterns = [re.compile(".*".join(map(re.escape, each.split("..."))), re.DOTALL) for each in quoted_messages()]
    assert [pattern.pattern for pattern in patterns if not any(map(pattern.search, said))] == []


def test_each_card_gets_the_build_that_has_kernels_for_it():
    rows = re.findall(
        r"^\| (\w+): .*? \| ([\d., ]+) \| CUDA (.*?) \| (\w+) \| (\w+) \|$", read(DOCS / "gpu-setup.md"), re.MULTILINE
    )
    assert [row[0] for row in rows] == ["Maxwell", "Pascal", "Volta", "Turing", "Ampere", "Ada", "Hopper", "Blackwell"]
    for name, capabilities, builds, bf16, attention in rows:
        for text in capabilities.split(", "):
            major, _, minor = text.partition(".")
            card = int(major), int(minor)
            assert ("12.6" in builds, "13.0" in builds) == (has_kernels(card, CU126), has_kernels(card, CU130)), name
            assert (bf16 == "native", attention == "fused") == (card >= NATIVE_BF16, card >= (8, 0)), name


def test_what_is_said_of_a_card_and_a_build_that_do_not_fit_is_shown_as_it_is_said():
    shown = " ".join(" ".join(text for language, text in blocks(DOCS / "gpu-setup.md") if language == "text").split())
    with pytest.raises(InputError) as refused:
        check_card(M6000, "2.13.0+cu130", CU130, has_cuda=True)
    assert f"ERROR: {refused.value}" in shown
    for torch, architectures, has_cuda in (("2.13.0+cpu", [], False), ("2.13.0+cu126", CU126, True)):
        (note,) = check_card(T4, torch, architectures, has_cuda=has_cuda)
        assert f"note: {note}" in shown


def test_the_profile_that_is_shown_is_one(tmp_path):
    (text,) = [text for language, text in blocks(DOCS / "gpu-setup.md") if language == "toml"]
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    (profile,) = read_profiles(tmp_path / "mine.toml")
    assert profile.name == "mine"
    assert not set(profile.card) & {name for each in read_profiles(DATA / "gpus.toml") for name in each.card}


def test_what_a_card_has_is_shown_as_its_profile_has_it():
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+), ", read(DOCS / "gpu-setup.md"), re.MULTILINE)
    shown = {name: [int(figure.replace(",", "")) for figure in figures] for name, *figures in rows}
    profiles = {
        "T4": "t4",
        "RTX 3060 and unnamed 12 GB cards": "rtx3060-12gb",
        "RTX 3090": "rtx3090",
        "RTX 4090": "rtx4090",
        "RTX 5090": "rtx5090",
        "L4": "l4",
        "A10, A10G": "a10g",
        "A100 40 GB": "a100",
        "H100 SXM": "h100",
    }
    known = {
        each.name: [each.memory_mib, each.usable_mib, each.context_mib] for each in read_profiles(DATA / "gpus.toml")
    }
    known["h100"][2] = 689  # the median; the profile has what was seen in training
    assert shown == {name: known[profile] for name, profile in profiles.items()}


def test_the_protocol_is_shown_with_its_defaults():
    rows = re.findall(
        r"^\| (`.*?`) \| (.*?) \|",
        read(DOCS / "method.md").partition("| setting |")[2].partition("\n\n")[0],
        re.MULTILINE,
    )
    shown = {
        name.strip("`"): value
        for names, values in rows
        for name, value in zip(names.split(", "), values.split(", "), strict=True)
    }
    defaults = {name: str(value).lower() for name, value in Protocol().as_dict().items()}
    assert {name: shown.get(name) for name in asdict(Protocol())} == defaults


def test_the_page_of_architectures_adds_up():
    text = read(DOCS / "architectures.md")
    tried, refused = (re.findall(r"^\| (?!`|-)(.+) \|$", table, re.MULTILINE) for table in text.split("\n## "))
    ends = Counter(tuple(cell == "yes" for cell in row.split(" | ")[1:3]) for row in tried)
    both, planned, rehearsed = ends[True, True], ends[True, False], ends[False, True]
    assert f"Of {len(tried) + len(refused)}, {both} are planned and rehearsed, {planned} only planned, " in text
    assert f", {rehearsed} only rehearsed,\nand {len(refused)} neither." in text
    assert not ends[False, False]
