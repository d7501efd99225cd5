"""Ownership controls, the block of public access, ACLs that are written, and configuration that a bucket does not have."""

import pytest
from botocore.exceptions import ClientError

from conftest import make_bucket

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def own(ownership):
    return {"Rules": [{"ObjectOwnership": ownership}]}


def test_a_new_bucket_is_its_owners_and_closed_to_the_public(server, bucket):
    client = server.boto()
    assert client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == own("BucketOwnerEnforced")
    assert client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == dict.fromkeys(FLAGS, True)


def test_ownership_is_changed_removed_and_chosen_at_creation(server, bucket):
    client = server.boto()
    for ownership in ("ObjectWriter", "BucketOwnerPreferred", "BucketOwnerEnforced"):
        client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=own(ownership))
        assert client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == own(ownership)
    for _ in range(2):
        client.delete_bucket_ownership_controls(Bucket=bucket)
        assert refused(client.get_bucket_ownership_controls, Bucket=bucket) == (404, "OwnershipControlsNotFoundError")
    name = f"{bucket}-owned"
    client.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    assert client.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"] == own("ObjectWriter")
    assert refused(client.create_bucket, Bucket=f"{name}-2", ObjectOwnership="Nobody") == (400, "InvalidArgument")
    assert refused(client.put_bucket_ownership_controls, Bucket=bucket, OwnershipControls=own("Nobody")) == (400, "MalformedXML")


def test_the_block_of_public_access_is_changed_and_removed(server, bucket):
    client = server.boto()
    for number, name in enumerate(FLAGS):
        block = {flag: at == number for at, flag in enumerate(FLAGS)}
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={name: True})
        assert client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == block
    for _ in range(2):
        client.delete_public_access_block(Bucket=bucket)
        assert refused(client.get_public_access_block, Bucket=bucket) == (404, "NoSuchPublicAccessBlockConfiguration")


def test_what_is_configured_of_access_is_there_after_a_restart(new_server):
    server = new_server()
    client, bucket = server.boto(), make_bucket(server)
    client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=own("ObjectWriter"))
    client.delete_public_access_block(Bucket=bucket)
    server.restart()
    client = server.boto()
    assert client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == own("ObjectWriter")
    assert refused(client.get_public_access_block, Bucket=bucket) == (404, "NoSuchPublicAccessBlockConfiguration")


def test_an_acl_that_leaves_everything_to_the_owner_is_taken(server, bucket):
    client = server.boto()
    client.put_object(Bucket=bucket, Key="object", Body=b"data")
    present = client.get_bucket_acl(Bucket=bucket)
    policy = {name: present[name] for name in ("Owner", "Grants")}
    for acl in ({"ACL": "private"}, {"ACL": "bucket-owner-full-control"}, {"AccessControlPolicy": policy}, {"GrantFullControl": f"id={policy['Owner']['ID']}"}):
        client.put_bucket_acl(Bucket=bucket, **acl)
        client.put_object_acl(Bucket=bucket, Key="object", **acl)
    assert client.get_object_acl(Bucket=bucket, Key="object")["Grants"] == present["Grants"]
    assert refused(client.put_object_acl, Bucket=bucket, Key="missing", ACL="private") == (404, "NoSuchKey")


def test_an_acl_that_opens_something_to_others_is_refused_by_what_forbids_it(server, bucket):
    client = server.boto()
    client.put_object(Bucket=bucket, Key="object", Body=b"data")
    public, somebody = {"ACL": "public-read"}, {"GrantRead": "id=somebody"}

    def answers():
        of_bucket = [refused(client.put_bucket_acl, Bucket=bucket, **acl) for acl in (public, somebody)]
        of_object = [refused(client.put_object_acl, Bucket=bucket, Key="object", **acl) for acl in (public, somebody)]
        of_write = [refused(client.put_object, Bucket=bucket, Key="object", Body=b"", **acl) for acl in (public, somebody)]
        assert of_bucket == of_object == of_write
        return of_bucket

    assert answers() == [(400, "AccessControlListNotSupported")] * 2
    client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=own("ObjectWriter"))
    assert answers() == [(403, "AccessDenied"), (400, "InvalidArgument")]
    assert refused(client.put_bucket_acl, Bucket=bucket, GrantRead=f'uri="{ALL_USERS}"') == (403, "AccessDenied")
    assert client.get_object(Bucket=bucket, Key="object")["Body"].read() == b"data"


ABSENT = {
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_policy_status": "NoSuchBucketPolicy",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_bucket_metadata_configuration": "MetadataConfigurationNotFound",
    "get_bucket_metadata_table_configuration": "MetadataConfigurationNotFound",
}
LISTS = {
    "analytics": "list_bucket_analytics_configurations",
    "inventory": "list_bucket_inventory_configurations",
    "metrics": "list_bucket_metrics_configurations",
    "intelligent_tiering": "list_bucket_intelligent_tiering_configurations",
}


@pytest.mark.parametrize("call", ABSENT)
def test_what_a_bucket_does_not_have_is_answered_with_s3s_error(server, bucket, call):
    client = server.boto()
    assert refused(getattr(client, call), Bucket=bucket) == (404, ABSENT[call])
    assert refused(getattr(client, call), Bucket="there-is-no-such-bucket") == (404, "NoSuchBucket")


@pytest.mark.parametrize("call", ["get_bucket_accelerate_configuration", "get_bucket_logging", "get_bucket_notification_configuration"])
def test_what_a_bucket_does_not_do_is_answered_with_an_empty_document(server, bucket, call):
    client = server.boto()
    answer = getattr(client, call)(Bucket=bucket)
    assert set(answer) == {"ResponseMetadata"}
    assert refused(getattr(client, call), Bucket="there-is-no-such-bucket") == (404, "NoSuchBucket")


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_of_configurations_is_empty_and_one_by_its_id_is_not_there(server, bucket, kind):
    client = server.boto()
    answer = getattr(client, LISTS[kind])(Bucket=bucket)
    assert (answer["IsTruncated"], set(answer)) == (False, {"ResponseMetadata", "IsTruncated"})
    one = getattr(client, f"get_bucket_{kind}_configuration")
    assert refused(one, Bucket=bucket, Id="one") == (404, "NoSuchConfiguration")


def test_who_pays_and_acceleration_are_taken_where_nothing_changes(server, bucket):
    client = server.boto()
    client.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    assert client.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    client.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Suspended"})
    requester = {"Payer": "Requester"}
    assert refused(client.put_bucket_request_payment, Bucket=bucket, RequestPaymentConfiguration=requester) == (501, "NotImplemented")
    enabled = {"Status": "Enabled"}
    assert refused(client.put_bucket_accelerate_configuration, Bucket=bucket, AccelerateConfiguration=enabled) == (501, "NotImplemented")
