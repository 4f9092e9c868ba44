import json
from pathlib import Path

from daemon.bench.sampling import COMPARING, PARTS, SETTINGS, main, percentiles_us, report


def test_every_part_is_measured_under_every_setting(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    written = tmp_path / "sampling.json"
    arguments = [str(tiny_model_folder), "--precision", "fp32", "--tokens", "40"]

    assert main([*arguments, "--json", str(written)]) == 0

    found = json.loads(written.read_text())["percentiles_us"]
    assert list(found) == [*SETTINGS, COMPARING]
    for setting in SETTINGS:
        assert list(found[setting]) == list(PARTS)
        assert all(0 < part["p50"] <= part["p95"] for part in found[setting].values())


def test_percentiles_are_in_microseconds() -> None:
    spans = {part: [1_000, 2_000, 9_000] for part in PARTS}

    found = percentiles_us({"defaults": spans})

    assert found["defaults"]["draw"] == {"p50": 2.0, "p95": 8.3}
    assert report(found).splitlines()[1].split() == ["defaults"] + ["2.0", "/", "8.3"] * len(PARTS)


def test_a_folder_that_is_no_model_is_named(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
