"""Models in files: all that can be kept come back, and nothing else is run."""

import pickle

import pytest
import torch
from test_every_model import MODELS, points

import ebmkit
from ebmkit import testing
from ebmkit.energy import EnergyModel
from ebmkit.graphs import GraphIsing
from ebmkit.mcmc import Tempered

F64 = torch.float64
NOT_IN_A_FILE = {
    "ClassConditional": "LinearClassEnergies",
    "JointEnergy": "LinearClassEnergies",
    "ModuleEnergy": "Sequential",
    "UnnormalizedDensity": "function",
    "UnnormalizedDensity, softplus": "function",
    **{name: name.split(", ")[1] for name in MODELS if name.startswith("FamilyEnergy")},
}


class Bowl(EnergyModel):
    event_shape = (2,)

    def __init__(self, depth):
        super().__init__()
        self.depth = torch.nn.Parameter(torch.tensor(depth))

    def energy(self, x):
        return self.depth * (x**2).sum(-1)


def there_and_back(model, path, *classes):
    ebmkit.save(model, path / "model.pt")
    return ebmkit.load(path / "model.pt", *classes)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in NOT_IN_A_FILE])
def test_a_model_comes_back_as_it_was(name, tmp_path):
    model = MODELS[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)  # what learning has changed since the model was made
    again = there_and_back(model, tmp_path)
    assert type(again) is type(model)
    x = (
        testing._models._points(model, torch.Generator().manual_seed(0))
        if points(name) is None
        else points(name)
    )
    assert torch.equal(again.energy(x), model.energy(x))
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in model.parameters()]


@pytest.mark.parametrize("name", NOT_IN_A_FILE)
def test_what_a_file_cannot_hold_is_named(name, tmp_path):
    with pytest.raises(
        TypeError, match=f"is a {NOT_IN_A_FILE[name]}, which a file cannot hold without running code"
    ):
        there_and_back(MODELS[name](), tmp_path)
    assert not list(tmp_path.iterdir())


def test_precision_and_other_numbers_on_the_same_graph_are_kept(tmp_path):
    model = GraphIsing([(0, 1), (1, 2)], 0.3).with_numbers(torch.tensor([0.1, -0.2]), torch.ones(3)).float()
    again = there_and_back(model, tmp_path)
    assert again.coupling.dtype == again.alike.dtype == torch.float32
    assert torch.equal(again.coupling, model.coupling)


def test_models_made_of_models_and_classes_of_ones_own(tmp_path):
    model = Tempered(Bowl(1.5), 0.5)
    with pytest.raises(ValueError, match=r"does not offer; give its class: load\(path, \[Bowl\]\)"):
        there_and_back(model, tmp_path)
    again = there_and_back(model, tmp_path, [Bowl])
    assert again.energy([1.0, 1.0]).item() == 1.5


def test_a_file_that_would_run_something_runs_nothing(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    for write in (torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))):
        write({"format": "an ebmkit model, 1", "model": Trap()}, tmp_path / "trap.pt")
        with pytest.raises(ValueError, match="nothing of it was run"):
            ebmkit.load(tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()


def test_files_of_another_kind_are_refused(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"holds no model that ebmkit\.save wrote"):
        ebmkit.load(tmp_path / "state.pt")
    with pytest.raises(FileNotFoundError):
        ebmkit.load(tmp_path / "nowhere.pt")
