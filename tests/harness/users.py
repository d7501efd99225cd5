"""Users of the configuration, each with a policy of its own."""

import json


def config(statements):
    """The tables of these users in TOML; `statements` has the statements of each user's policy by name."""
    tables = []
    for name, statement in statements.items():
        policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
        tables.append(f"[[users]]\nname = '{name}'\naccess_key = '{access_key(name)}'\nsecret_key = '{secret_key(name)}'\npolicy = '{policy}'\n")
    return "".join(tables)


def allowing(actions):
    """The statements that allow these actions on everything, and all that is done with keys."""
    return [{"Effect": "Allow", "Action": [*actions, "kms:*"], "Resource": "*"}]


def keys(name):
    """The user's access key and secret key."""
    return access_key(name), secret_key(name)


def access_key(name):
    return f"AK{name.upper()}"


def secret_key(name):
    return f"secret-of-{name}-0123456789"
