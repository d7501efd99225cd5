"""Identities as clients of AWS administer them: clients of its services, policies, and users with keys."""

import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from harness import leaks
from harness.server import REGION

# The server checks what it gets, and the client does not.
ONCE = {"retries": {"max_attempts": 1, "mode": "standard"}, "parameter_validation": False}


def client(server, service, credentials=None):
    """A client of a service with root's keys, or with those that IAM or STS gave."""
    keys = credentials or {"AccessKeyId": server.access_key, "SecretAccessKey": server.secret_key}
    return boto3.client(
        service,
        endpoint_url=server.endpoint,
        verify=str(server.ca),
        region_name=REGION,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
        # For presigned URLs boto3 would still take version 2.
        config=Config(**ONCE, s3={"addressing_style": "path"}, signature_version="s3v4" if service == "s3" else None),
    )


def code(call, *arguments, **parameters):
    with pytest.raises(ClientError) as refused:
        call(*arguments, **parameters)
    return refused.value.response["Error"]["Code"], refused.value.response["ResponseMetadata"]["HTTPStatusCode"]


def allow(*actions, resource="*", effect="Allow", **more):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": list(actions), "Resource": resource, **more}]})


def trust(principal, action="sts:AssumeRole", **more):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": action, **more}]})


def new_user(iam, name, *policies, **more):
    """A user with these inline policies, and an access key of theirs."""
    iam.create_user(UserName=name, **more)
    for number, policy in enumerate(policies):
        iam.put_user_policy(UserName=name, PolicyName=f"p{number}", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    leaks.register(f"the secret of {name}", key["SecretAccessKey"])
    return key
