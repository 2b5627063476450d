"""The sources that params.yaml can name."""

import pytest

from promotions.base.errors import InputError
from promotions.sources import SOURCES, get_source


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_loads_and_gives_roles(name):
    source = get_source(name)
    assert callable(source.load)
    assert callable(source.to_customers)
    assert source.__name__ == f"promotions.sources.{name}"


@pytest.mark.parametrize("name", ["x6", "", None])
def test_an_unknown_source_is_named_with_those_that_exist(name):
    with pytest.raises(InputError, match=r"data\.source: .* is unknown; it is one of simulated, "):
        get_source(name)
