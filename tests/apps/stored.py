"""What an application has left in a bucket, asked of the server by boto3."""


def keys(server, bucket, prefix=""):
    """The keys below a prefix, all pages of them."""
    pages = server.boto().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def encryption(server, bucket, key, **options):
    """How an object is encrypted: the mode and the key's id."""
    head = server.boto().head_object(Bucket=bucket, Key=key, **options)
    return head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")


def assert_all_under(server, bucket, key_id, prefix=""):
    """Every object there is, and there is one, is under SSE-KMS with that key."""
    found = {key: encryption(server, bucket, key) for key in keys(server, bucket, prefix)}
    assert found and set(found.values()) == {("aws:kms", key_id)}, found
