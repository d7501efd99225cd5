"""Runs every row of the tables, each against a server that goes on afterwards as if nothing had been."""

import http.client

import pytest

from attacks import (
    admin_identities,
    chunks,
    documents,
    forms,
    identities,
    names,
    owned_keys,
    policies,
    presigned,
    signatures,
    smuggling,
    tokens,
    version_two,
)
from attacks.field import Field
from attacks.row import ATTACKERS, EVERYTHING, SECRETS, STORE

TABLES = [signatures, presigned, version_two, chunks, forms, policies, smuggling, documents, names, identities, admin_identities, owned_keys, tokens]
ROWS = [pytest.param(row, id=f"{table.__name__.rsplit('.', 1)[1]}: {row.name}") for table in TABLES for row in table.ROWS]


class Fields:
    """The field, made anew where an attack has left it in ruins."""

    def __init__(self, factory):
        self.factory, self.field = factory, None
        self.known = {}  # what the row before has left as it was

    def get(self):
        if self.field is None:
            self.field = Field(self.factory.mktemp("attacked") / "home", landlords=True)
        return self.field

    def give_up_unless_as(self, before):
        """A wrong answer alone spoils nothing for the rows that follow."""
        try:
            if self.field.state(before.seen).seen == before.seen:
                return
        except (OSError, http.client.HTTPException):
            pass  # it is dead, or dying
        self.field.server.remove()
        self.field = None


@pytest.fixture(scope="session")
def fields(tmp_path_factory):
    made = Fields(tmp_path_factory)
    yield made
    if made.field:
        made.field.close()


@pytest.mark.parametrize("row", ROWS)
def test_attack(row, fields):
    field = fields.get()
    before, fields.known = field.state(row.unchanged, fields.known), {}
    try:
        reply = row.attack(field)
        row.answer.check(reply)
        field.assert_unchanged(before, row.unchanged, [reply])
        fields.known = before.seen if set(EVERYTHING) <= set(row.unchanged) else {}
    except BaseException:
        fields.give_up_unless_as(before)
        raise


def test_the_tables_have_200_rows_and_more_and_each_is_whole():
    rows = [parameter.values[0] for parameter in ROWS]
    assert len(rows) >= 200
    assert len({row.name for row in rows}) == len(rows), "two rows of one name"
    for row in rows:
        assert row.attacker in ATTACKERS and 0 <= row.number <= 18, row
        assert row.answer.status < 400 or {STORE, SECRETS} <= set(row.unchanged), row
