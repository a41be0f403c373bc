"""What the project says of itself."""

from pathlib import Path

from ohlora_fixtures.settings import OPTIONS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_nothing_that_the_readme_does_not_tell():
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert len(commands) == 2
    assert [line for line in commands if line not in README] == []


def test_the_readme_tells_every_option():
    assert [option.flag for option in OPTIONS if option.flag not in README] == []
    assert "--allow-remote-code" in README
