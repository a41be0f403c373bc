import pytest

from ohlora_fixtures.base.errors import InputError
from ohlora_fixtures.base.units import Verdict, parse_size_mib


@pytest.mark.parametrize(
    ("text", "mib"),
    [("12GB", 12288), ("12GiB", 12288), ("12288MiB", 12288), ("11.5 GB", 11776), (" 8GB ", 8192), ("0.5MiB", 0.5)],
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
        "12gb",
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


def test_the_budget_itself_is_within_it():
    assert Verdict(peak_device_mib=12288.0, budget_mib=12288.0).within
    assert not Verdict(peak_device_mib=12288.01, budget_mib=12288.0).within


def test_the_sentence_names_both_figures_and_the_difference():
    assert Verdict(peak_device_mib=12900.0, budget_mib=12288.0).sentence() == (
        "peak device memory 12900.00 MiB is 612.00 MiB (5.0%) above the VRAM budget of 12288.00 MiB"
    )
