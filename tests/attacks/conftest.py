"""Fixtures of the attack stories: a field of their own for each file, and one for a test that leaves ruins."""

import pytest

from attacks.field import CONFIG, USERS, Field


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    made = Field(tmp_path_factory.mktemp("attacked") / "home")
    yield made
    made.close()


@pytest.fixture
def own_field(tmp_path_factory):
    """Makes a field of a test's own: `own_field(more configuration)`. What is to stand above the tables comes first."""
    made = []

    def make(first="", users=USERS, **options):
        made.append(Field(tmp_path_factory.mktemp("attacked") / "home", first + CONFIG, users, **options))
        return made[-1]

    yield make
    for field in made:
        field.server.remove()
