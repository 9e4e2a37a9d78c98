"""bench.pages.predicted: which figures of a prediction are bands."""

import json
from pathlib import Path

import pytest

from bench.pages.figures import Band
from bench.pages.predicted import NoPrediction, bands


def test_figures_of_a_second_are_bands_in_order(tmp_path: Path) -> None:
    """Those of the whole burst are none."""
    path = tmp_path / "sealed.json"
    spread = {"p10": 1.0, "p50": 2.0, "p90": 3.0}
    path.write_text(
        json.dumps({"sealed_at": "", "figures": {"accepted@10": spread, "accepted@2": spread, "shed": spread}})
    )

    assert bands(path) == {"accepted": [Band(2.0, 1.0, 3.0), Band(10.0, 1.0, 3.0)]}


@pytest.mark.parametrize("content", ["{", "{}"])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    """Half a file, another one."""
    path = tmp_path / "sealed.json"
    path.write_text(content)
    with pytest.raises(NoPrediction, match="no sealed prediction"):
        bands(path)
