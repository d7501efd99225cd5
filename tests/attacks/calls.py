"""Every operation of S3 once, as a request on a bucket of somebody's."""

from dataclasses import dataclass, field

from harness import sigv4
from harness.raw import complete_xml
from harness.sse import key_md5

KEY = "secret"
ATTACKERS_BODY = b"what an attacker wrote"
OBJECT_LOCK = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
LIFECYCLE = (
    b"<LifecycleConfiguration><Rule><Filter></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
)
RETENTION = b"<Retention></Retention>"
LEGAL_HOLD = b"<LegalHold><Status>OFF</Status></LegalHold>"
OWNERSHIP = b"<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>"
ACCESS_BLOCK = b"<PublicAccessBlockConfiguration></PublicAccessBlockConfiguration>"
NOTIFICATION = b"<NotificationConfiguration/>"
CORS = b"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"
ACCELERATION = b"<AccelerateConfiguration><Status>Suspended</Status></AccelerateConfiguration>"
PAYMENT = b"<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>"
POLICY = b'{"Statement": {"Effect": "Allow", "Principal": {"CanonicalUser": "mallory"}, "Action": "s3:*", "Resource": "*"}}'
VERSIONING = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"


@dataclass(frozen=True)
class Call:
    name: str
    method: str
    path: str
    query: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    def also(self, query=None, headers=None):
        return Call(self.name, self.method, self.path, self.query | (query or {}), self.headers | (headers or {}), self.body)


def tagging_xml(tags):
    found = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in tags.items())
    return f'<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet>{found}</TagSet></Tagging>'.encode()


def encryption_xml(algorithm="AES256", more=""):
    rule = f"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{algorithm}</SSEAlgorithm>{more}</ApplyServerSideEncryptionByDefault></Rule>"
    return f'<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{rule}</ServerSideEncryptionConfiguration>'.encode()


def delete_xml(*keys):
    objects = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    return f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{objects}</Delete>'.encode()


def object_encryption_xml(arn="arn:aws:kms:us-east-1:000000000000:key/default"):
    return f"<ObjectEncryption><SSE-KMS><KMSKeyArn>{arn}</KMSKeyArn></SSE-KMS></ObjectEncryption>".encode()


def md5(body):
    return {"content-md5": key_md5(body)}


def all_calls(bucket, upload, etag, new_bucket, source=None):
    """On `bucket/secret`; `upload` is an upload of `bucket/upload`, whose part 1 has that ETag."""
    source = source or f"{bucket}/{KEY}"
    path, part = f"/{bucket}/{KEY}", f"/{bucket}/upload"
    copied = {"x-amz-copy-source": sigv4.quote_path("/" + source)}
    deletes, encrypts, tags = delete_xml(KEY), encryption_xml(), tagging_xml({"owner": "mallory"})
    return [
        Call("ListBuckets", "GET", "/"),
        Call("CreateBucket", "PUT", f"/{new_bucket}"),
        Call("HeadBucket", "HEAD", f"/{bucket}"),
        Call("DeleteBucket", "DELETE", f"/{bucket}"),
        Call("GetBucketLocation", "GET", f"/{bucket}", {"location": ""}),
        Call("GetBucketVersioning", "GET", f"/{bucket}", {"versioning": ""}),
        Call("PutBucketVersioning", "PUT", f"/{bucket}", {"versioning": ""}, md5(VERSIONING), VERSIONING),
        Call("GetBucketEncryption", "GET", f"/{bucket}", {"encryption": ""}),
        Call("PutBucketEncryption", "PUT", f"/{bucket}", {"encryption": ""}, md5(encrypts), encrypts),
        Call("DeleteBucketEncryption", "DELETE", f"/{bucket}", {"encryption": ""}),
        Call("GetBucketTagging", "GET", f"/{bucket}", {"tagging": ""}),
        Call("PutBucketTagging", "PUT", f"/{bucket}", {"tagging": ""}, md5(tags), tags),
        Call("DeleteBucketTagging", "DELETE", f"/{bucket}", {"tagging": ""}),
        Call("GetBucketLifecycleConfiguration", "GET", f"/{bucket}", {"lifecycle": ""}),
        Call("PutBucketLifecycleConfiguration", "PUT", f"/{bucket}", {"lifecycle": ""}, md5(LIFECYCLE), LIFECYCLE),
        Call("DeleteBucketLifecycle", "DELETE", f"/{bucket}", {"lifecycle": ""}),
        Call("GetBucketCors", "GET", f"/{bucket}", {"cors": ""}),
        Call("PutBucketCors", "PUT", f"/{bucket}", {"cors": ""}, md5(CORS), CORS),
        Call("DeleteBucketCors", "DELETE", f"/{bucket}", {"cors": ""}),
        Call("GetBucketNotificationConfiguration", "GET", f"/{bucket}", {"notification": ""}),
        Call("PutBucketNotificationConfiguration", "PUT", f"/{bucket}", {"notification": ""}, md5(NOTIFICATION), NOTIFICATION),
        Call("GetObjectLockConfiguration", "GET", f"/{bucket}", {"object-lock": ""}),
        Call("PutObjectLockConfiguration", "PUT", f"/{bucket}", {"object-lock": ""}, md5(OBJECT_LOCK), OBJECT_LOCK),
        Call("GetBucketAcl", "GET", f"/{bucket}", {"acl": ""}),
        Call("PutBucketAcl", "PUT", f"/{bucket}", {"acl": ""}, {"x-amz-acl": "private"}),
        Call("GetBucketOwnershipControls", "GET", f"/{bucket}", {"ownershipControls": ""}),
        Call("PutBucketOwnershipControls", "PUT", f"/{bucket}", {"ownershipControls": ""}, md5(OWNERSHIP), OWNERSHIP),
        Call("DeleteBucketOwnershipControls", "DELETE", f"/{bucket}", {"ownershipControls": ""}),
        Call("GetPublicAccessBlock", "GET", f"/{bucket}", {"publicAccessBlock": ""}),
        Call("PutPublicAccessBlock", "PUT", f"/{bucket}", {"publicAccessBlock": ""}, md5(ACCESS_BLOCK), ACCESS_BLOCK),
        Call("DeletePublicAccessBlock", "DELETE", f"/{bucket}", {"publicAccessBlock": ""}),
        Call("GetBucketAccelerateConfiguration", "GET", f"/{bucket}", {"accelerate": ""}),
        Call("PutBucketAccelerateConfiguration", "PUT", f"/{bucket}", {"accelerate": ""}, md5(ACCELERATION), ACCELERATION),
        Call("GetBucketRequestPayment", "GET", f"/{bucket}", {"requestPayment": ""}),
        Call("PutBucketRequestPayment", "PUT", f"/{bucket}", {"requestPayment": ""}, md5(PAYMENT), PAYMENT),
        Call("GetBucketLogging", "GET", f"/{bucket}", {"logging": ""}),
        Call("GetBucketWebsite", "GET", f"/{bucket}", {"website": ""}),
        Call("GetBucketPolicy", "GET", f"/{bucket}", {"policy": ""}),
        Call("PutBucketPolicy", "PUT", f"/{bucket}", {"policy": ""}, body=POLICY),
        Call("DeleteBucketPolicy", "DELETE", f"/{bucket}", {"policy": ""}),
        Call("GetBucketPolicyStatus", "GET", f"/{bucket}", {"policyStatus": ""}),
        Call("GetBucketReplication", "GET", f"/{bucket}", {"replication": ""}),
        Call("GetBucketMetadataConfiguration", "GET", f"/{bucket}", {"metadataConfiguration": ""}),
        Call("GetBucketMetadataTableConfiguration", "GET", f"/{bucket}", {"metadataTable": ""}),
        Call("GetBucketAnalyticsConfiguration", "GET", f"/{bucket}", {"analytics": ""}),
        Call("GetBucketInventoryConfiguration", "GET", f"/{bucket}", {"inventory": ""}),
        Call("GetBucketMetricsConfiguration", "GET", f"/{bucket}", {"metrics": ""}),
        Call("GetBucketIntelligentTieringConfiguration", "GET", f"/{bucket}", {"intelligent-tiering": ""}),
        Call("ListObjects", "GET", f"/{bucket}"),
        Call("ListObjectsV2", "GET", f"/{bucket}", {"list-type": "2"}),
        Call("ListObjectVersions", "GET", f"/{bucket}", {"versions": ""}),
        Call("ListMultipartUploads", "GET", f"/{bucket}", {"uploads": ""}),
        Call("DeleteObjects", "POST", f"/{bucket}", {"delete": ""}, md5(deletes), deletes),
        Call("PutObject", "PUT", path, body=ATTACKERS_BODY),
        Call("CopyObject", "PUT", f"/{bucket}/copy", headers=copied),
        Call("GetObject", "GET", path),
        Call("HeadObject", "HEAD", path),
        Call("GetObjectAttributes", "GET", path, {"attributes": ""}, {"x-amz-object-attributes": "ETag,ObjectSize"}),
        Call("GetObjectAcl", "GET", path, {"acl": ""}),
        Call("PutObjectAcl", "PUT", path, {"acl": ""}, {"x-amz-acl": "private"}),
        Call("GetObjectTagging", "GET", path, {"tagging": ""}),
        Call("PutObjectTagging", "PUT", path, {"tagging": ""}, md5(tags), tags),
        Call("DeleteObjectTagging", "DELETE", path, {"tagging": ""}),
        Call("GetObjectRetention", "GET", path, {"retention": ""}),
        Call("PutObjectRetention", "PUT", path, {"retention": ""}, md5(RETENTION), RETENTION),
        Call("GetObjectLegalHold", "GET", path, {"legal-hold": ""}),
        Call("PutObjectLegalHold", "PUT", path, {"legal-hold": ""}, md5(LEGAL_HOLD), LEGAL_HOLD),
        Call("UpdateObjectEncryption", "PUT", path, {"encryption": ""}, body=object_encryption_xml()),
        Call("DeleteObject", "DELETE", path),
        Call("CreateMultipartUpload", "POST", path, {"uploads": ""}),
        Call("UploadPart", "PUT", part, {"partNumber": "2", "uploadId": upload}, body=ATTACKERS_BODY),
        Call("UploadPartCopy", "PUT", part, {"partNumber": "2", "uploadId": upload}, copied),
        Call("CompleteMultipartUpload", "POST", part, {"uploadId": upload}, body=complete_xml({1: etag})),
        Call("AbortMultipartUpload", "DELETE", part, {"uploadId": upload}),
        Call("ListParts", "GET", part, {"uploadId": upload}),
    ]


NAMES = [call.name for call in all_calls("b", "u", "e", "n")]
