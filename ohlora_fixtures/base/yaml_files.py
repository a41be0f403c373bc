"""YAML that others wrote, read as plain data within bounds."""

from typing import Any

import yaml

from .errors import one_line

MOST_YAML_BYTES = 256 * 1024
"""Of a text: PyYAML's own reader takes a second for it."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Makes plain values alone, and follows no alias: a few lines of them can stand for any number of values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            what = "an alias (*name) is not followed: write out what it stands for"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=self.peek_event().start_mark)
        return super().compose_node(parent, index)


def read_yaml(text: str) -> Any:
    """The value that a YAML or JSON text has; raises ValueError, in one line, for what is none or is too large."""
    if len(text.encode("utf-8", "surrogatepass")) > MOST_YAML_BYTES:
        raise ValueError(f"it is larger than {MOST_YAML_BYTES // 1024} KiB, the most that is read")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{error.problem}{line}") from None
    except Exception as error:  # noqa: BLE001 - PyYAML has no error of its own for a value that its tag cannot have
        raise ValueError(one_line(error)) from None
