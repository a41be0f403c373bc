import pytest

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.units import parse_size_mib


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("12GB", 12288),
        ("12GiB", 12288),
        ("12288MiB", 12288),
        ("11.5 GB", 11776),
        ("12gb", 12288),
        (" 8GB ", 8192),
        ("0.5MiB", 0.5),
    ],
)
def test_sizes_that_parse(text, mib):
    assert parse_size_mib(text) == mib


@pytest.mark.parametrize(
    "text",
    [
        "12",
        "GB",
        "",
        "0GB",
        "-1GB",
        "12 G",
        "12MB",
        "12TB",
        "1e3GB",
        "nanGB",
        "1,5GB",
        "12  GB",
        "\uff11\uff12GB",
        "9" * 400 + "GB",
    ],
)
def test_any_other_size_is_refused_with_what_is_accepted(text):
    with pytest.raises(InputError, match="such as 12GB, 12GiB, 12288MiB or"):
        parse_size_mib(text)
