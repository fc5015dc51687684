"""Models side by side."""

import json

import numpy as np
import PIL.Image
import pytest

from experiments.studies.comparison import Comparison, best_of_each

STUDY = Comparison(
    classifier="digits_classifier", runs=(("score", "digits_vp"), ("VAE", "digits_vae"))
)


def test_the_best_image_of_a_label_is_taken_for_it():
    images = np.arange(4.0).reshape(4, 1, 1, 1)
    logits = np.array([[3.0, 9.0, 0], [5.0, 1.0, 0], [4.0, 2.0, 0], [0, 8.0, 7.0]])
    first, second, none = best_of_each(images, logits)
    assert (first.item(), second.item()) == (1.0, 0.0)
    assert none.item() == 1.0, "white"


@pytest.fixture(scope="module")
def found(reproduced, tmp_path_factory):
    """What is measured, and where it is drawn."""
    pictures = tmp_path_factory.mktemp("comparison")
    return STUDY.measure(reproduced, pictures), pictures


def test_the_numbers_are_those_of_the_evaluations(found, reproduced):
    results, _ = found
    for title, run in STUDY.runs:
        (path,) = (reproduced / run / "evaluations").glob("*/evaluation.json")
        record = json.loads(path.read_text())
        for of, kept in (("run", results["models"][title]), ("held-out data", None)):
            kept = kept or results["models"]["held-out data"]
            for finding in record["findings"]:
                same = (finding["of"], finding["features"]) in ((of, "classifier"), (of, None))
                if same and finding["metric"] in kept["findings"]:
                    assert kept["findings"][finding["metric"]]["value"] == finding["value"]
    model = results["models"]["score"]
    assert (model["evaluations"], model["step"], model["count"]) == (3, 2, 128)
    assert model["seconds_per_image"] > 0


def test_a_number_that_a_model_lacks_is_left_empty(found):
    head, _, *rows = STUDY.table(found[0])
    titles = [cell.strip() for cell in head.split("|")]
    cells = {row.split("|")[1].strip(): [c.strip() for c in row.split("|")] for row in rows}
    assert list(cells) == ["held-out data", "score", "VAE"]
    assert all(len(row) == len(titles) for row in cells.values())
    exact, bound = (titles.index(f"Bits per dimension{end}") for end in ("", ", at most"))
    assert cells["score"][exact] and not cells["score"][bound]
    assert cells["VAE"][bound] and not cells["VAE"][exact]


def test_pictures_are_drawn(found):
    for name in ("images.png", "numbers.png"):
        picture = np.asarray(PIL.Image.open(found[1] / name).convert("L"))
        assert len(np.unique(picture)) > 16
