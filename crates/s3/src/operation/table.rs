//! The table: a row for each operation. To add one, add its row, its handler and its tests.

use strongroom_access::Action;

use crate::lock::{LEGAL_HOLD_HEADER, RETENTION_HEADERS};
use crate::ops::public_access::OWNERSHIP_HEADER;
use crate::ops::tagging::TAGGING_HEADER;
use crate::ops::{
    acl, attributes, buckets, copy, cors, delete, encryption, forms, lifecycle, list, multipart, notification, object_encryption,
    object_lock, objects, policy, public_access, tagging, unconfigured, uploads, versioning,
};

use super::{Facts, Handler, HeaderRight, Operation, OwnerCheck, Resource, Right, Target, When};

/// A handler as a row holds it; with `&` one that only looks at the request.
macro_rules! run {
    (& $handler:path) => {
        |api, request| Box::pin(async move { $handler(api, &request).await })
    };
    ($handler:path) => {
        |api, request| Box::pin($handler(api, request))
    };
}

/// Every operation. The first row that a request fits is meant.
pub(super) static OPERATIONS: &[Operation] = &[
    on_service("ListBuckets", "GET", run!(&buckets::list)).needs(&[right(Action::ListAllMyBuckets, Target::Buckets)]).listing(),
    // Buckets.
    on_bucket("CreateBucket", "PUT", run!(buckets::create))
        .needs(&[right(Action::CreateBucket, Target::Bucket)])
        .needs_for(&[
            for_flag("x-amz-bucket-object-lock-enabled", Action::PutBucketObjectLockConfiguration, Target::Bucket),
            for_flag("x-amz-bucket-object-lock-enabled", Action::PutBucketVersioning, Target::Bucket),
            for_header(OWNERSHIP_HEADER, Action::PutBucketOwnershipControls, Target::Bucket),
        ])
        .with_body()
        .owner(OwnerCheck::Never),
    on_bucket("HeadBucket", "HEAD", run!(&buckets::head)).when(&[When::Always]).needs(&[right(Action::ListBucket, Target::Bucket)]),
    on_bucket("DeleteBucket", "DELETE", run!(&buckets::delete)).needs(&[right(Action::DeleteBucket, Target::Bucket)]),
    on_bucket("GetBucketLocation", "GET", run!(&buckets::location))
        .at("location")
        .needs(&[right(Action::GetBucketLocation, Target::Bucket)]),
    on_bucket("GetBucketVersioning", "GET", run!(&versioning::get))
        .at("versioning")
        .needs(&[right(Action::GetBucketVersioning, Target::Bucket)]),
    on_bucket("PutBucketVersioning", "PUT", run!(versioning::put))
        .at("versioning")
        .needs(&[right(Action::PutBucketVersioning, Target::Bucket)])
        .with_body(),
    on_bucket("GetBucketEncryption", "GET", run!(&encryption::get))
        .at("encryption")
        .needs(&[right(Action::GetEncryptionConfiguration, Target::Bucket)]),
    on_bucket("PutBucketEncryption", "PUT", run!(encryption::put))
        .at("encryption")
        .needs(&[right(Action::PutEncryptionConfiguration, Target::Bucket)])
        .with_body(),
    on_bucket("DeleteBucketEncryption", "DELETE", run!(&encryption::delete))
        .at("encryption")
        .needs(&[right(Action::PutEncryptionConfiguration, Target::Bucket)]),
    on_bucket("GetBucketTagging", "GET", run!(&tagging::of_bucket)).at("tagging").needs(&[right(Action::GetBucketTagging, Target::Bucket)]),
    on_bucket("PutBucketTagging", "PUT", run!(tagging::put_of_bucket))
        .at("tagging")
        .needs(&[right(Action::PutBucketTagging, Target::Bucket)])
        .with_body(),
    on_bucket("DeleteBucketTagging", "DELETE", run!(&tagging::delete_of_bucket))
        .at("tagging")
        .needs(&[right(Action::PutBucketTagging, Target::Bucket)]),
    on_bucket("GetBucketLifecycleConfiguration", "GET", run!(&lifecycle::get))
        .at("lifecycle")
        .needs(&[right(Action::GetLifecycleConfiguration, Target::Bucket)])
        .listing(),
    on_bucket("PutBucketLifecycleConfiguration", "PUT", run!(lifecycle::put))
        .at("lifecycle")
        .needs(&[right(Action::PutLifecycleConfiguration, Target::Bucket)])
        .with_body(),
    on_bucket("DeleteBucketLifecycle", "DELETE", run!(&lifecycle::delete))
        .at("lifecycle")
        .needs(&[right(Action::PutLifecycleConfiguration, Target::Bucket)]),
    on_bucket("GetBucketCors", "GET", run!(&cors::get)).at("cors").needs(&[right(Action::GetBucketCORS, Target::Bucket)]),
    on_bucket("PutBucketCors", "PUT", run!(cors::put)).at("cors").needs(&[right(Action::PutBucketCORS, Target::Bucket)]).with_body(),
    on_bucket("DeleteBucketCors", "DELETE", run!(&cors::delete)).at("cors").needs(&[right(Action::PutBucketCORS, Target::Bucket)]),
    on_bucket("GetBucketNotificationConfiguration", "GET", run!(&notification::get))
        .at("notification")
        .needs(&[right(Action::GetBucketNotification, Target::Bucket)]),
    on_bucket("PutBucketNotificationConfiguration", "PUT", run!(notification::put))
        .at("notification")
        .needs(&[right(Action::PutBucketNotification, Target::Bucket)])
        .with_body(),
    on_bucket("GetObjectLockConfiguration", "GET", run!(&object_lock::configuration))
        .at("object-lock")
        .needs(&[right(Action::GetBucketObjectLockConfiguration, Target::Bucket)]),
    on_bucket("PutObjectLockConfiguration", "PUT", run!(object_lock::put_configuration))
        .at("object-lock")
        .needs(&[right(Action::PutBucketObjectLockConfiguration, Target::Bucket)])
        .with_body(),
    on_bucket("GetBucketAcl", "GET", run!(&acl::of_bucket)).at("acl").needs(&[right(Action::GetBucketAcl, Target::Bucket)]),
    on_bucket("PutBucketAcl", "PUT", run!(acl::put_of_bucket)).at("acl").needs(&[right(Action::PutBucketAcl, Target::Bucket)]).with_body(),
    on_bucket("GetBucketOwnershipControls", "GET", run!(&public_access::ownership))
        .at("ownershipControls")
        .needs(&[right(Action::GetBucketOwnershipControls, Target::Bucket)]),
    on_bucket("PutBucketOwnershipControls", "PUT", run!(public_access::put_ownership))
        .at("ownershipControls")
        .needs(&[right(Action::PutBucketOwnershipControls, Target::Bucket)])
        .with_body(),
    on_bucket("DeleteBucketOwnershipControls", "DELETE", run!(&public_access::delete_ownership))
        .at("ownershipControls")
        .needs(&[right(Action::PutBucketOwnershipControls, Target::Bucket)]),
    on_bucket("GetPublicAccessBlock", "GET", run!(&public_access::block))
        .at("publicAccessBlock")
        .needs(&[right(Action::GetBucketPublicAccessBlock, Target::Bucket)]),
    on_bucket("PutPublicAccessBlock", "PUT", run!(public_access::put_block))
        .at("publicAccessBlock")
        .needs(&[right(Action::PutBucketPublicAccessBlock, Target::Bucket)])
        .with_body(),
    on_bucket("DeletePublicAccessBlock", "DELETE", run!(&public_access::delete_block))
        .at("publicAccessBlock")
        .needs(&[right(Action::PutBucketPublicAccessBlock, Target::Bucket)]),
    // What a bucket does not have here, and clients ask for.
    on_bucket("GetBucketAccelerateConfiguration", "GET", run!(&unconfigured::acceleration))
        .at("accelerate")
        .needs(&[right(Action::GetAccelerateConfiguration, Target::Bucket)]),
    on_bucket("PutBucketAccelerateConfiguration", "PUT", run!(unconfigured::put_acceleration))
        .at("accelerate")
        .needs(&[right(Action::PutAccelerateConfiguration, Target::Bucket)])
        .with_body(),
    on_bucket("GetBucketRequestPayment", "GET", run!(&unconfigured::request_payment))
        .at("requestPayment")
        .needs(&[right(Action::GetBucketRequestPayment, Target::Bucket)]),
    on_bucket("PutBucketRequestPayment", "PUT", run!(unconfigured::put_request_payment))
        .at("requestPayment")
        .needs(&[right(Action::PutBucketRequestPayment, Target::Bucket)])
        .with_body(),
    on_bucket("GetBucketLogging", "GET", run!(&unconfigured::logging))
        .at("logging")
        .needs(&[right(Action::GetBucketLogging, Target::Bucket)]),
    on_bucket("GetBucketWebsite", "GET", run!(&unconfigured::website))
        .at("website")
        .needs(&[right(Action::GetBucketWebsite, Target::Bucket)]),
    on_bucket("GetBucketPolicy", "GET", run!(&policy::get)).at("policy").needs(&[right(Action::GetBucketPolicy, Target::Bucket)]),
    on_bucket("PutBucketPolicy", "PUT", run!(policy::put))
        .at("policy")
        .needs(&[right(Action::PutBucketPolicy, Target::Bucket)])
        .with_body(),
    on_bucket("DeleteBucketPolicy", "DELETE", run!(&policy::delete))
        .at("policy")
        .needs(&[right(Action::DeleteBucketPolicy, Target::Bucket)]),
    on_bucket("GetBucketPolicyStatus", "GET", run!(&policy::status))
        .at("policyStatus")
        .needs(&[right(Action::GetBucketPolicyStatus, Target::Bucket)]),
    on_bucket("GetBucketReplication", "GET", run!(&unconfigured::replication))
        .at("replication")
        .needs(&[right(Action::GetReplicationConfiguration, Target::Bucket)]),
    on_bucket("GetBucketMetadataConfiguration", "GET", run!(&unconfigured::metadata))
        .at("metadataConfiguration")
        .needs(&[right(Action::GetBucketMetadataTableConfiguration, Target::Bucket)]),
    on_bucket("GetBucketMetadataTableConfiguration", "GET", run!(&unconfigured::metadata))
        .at("metadataTable")
        .needs(&[right(Action::GetBucketMetadataTableConfiguration, Target::Bucket)]),
    on_bucket("GetBucketAnalyticsConfiguration", "GET", run!(&unconfigured::analytics))
        .at("analytics")
        .needs(&[right(Action::GetAnalyticsConfiguration, Target::Bucket)]),
    on_bucket("GetBucketInventoryConfiguration", "GET", run!(&unconfigured::inventory))
        .at("inventory")
        .needs(&[right(Action::GetInventoryConfiguration, Target::Bucket)]),
    on_bucket("GetBucketMetricsConfiguration", "GET", run!(&unconfigured::metrics))
        .at("metrics")
        .needs(&[right(Action::GetMetricsConfiguration, Target::Bucket)]),
    on_bucket("GetBucketIntelligentTieringConfiguration", "GET", run!(&unconfigured::tiering))
        .at("intelligent-tiering")
        .needs(&[right(Action::GetIntelligentTieringConfiguration, Target::Bucket)]),
    // Listings.
    on_bucket("ListObjectsV2", "GET", run!(&list::version_2))
        .when(&[When::Is("list-type", "2")])
        .needs(&[right(Action::ListBucket, Target::Bucket)])
        .facts(Facts::Listing)
        .listing(),
    on_bucket("ListObjects", "GET", run!(&list::version_1))
        .needs(&[right(Action::ListBucket, Target::Bucket)])
        .facts(Facts::Listing)
        .listing(),
    on_bucket("ListObjectVersions", "GET", run!(&list::object_versions))
        .at("versions")
        .needs(&[right(Action::ListBucketVersions, Target::Bucket)])
        .facts(Facts::Listing)
        .listing(),
    on_bucket("ListMultipartUploads", "GET", run!(&uploads::list))
        .at("uploads")
        .needs(&[right(Action::ListBucketMultipartUploads, Target::Bucket)])
        .listing(),
    on_bucket("DeleteObjects", "POST", run!(delete::many)).at("delete").with_body().owner(OwnerCheck::Inside),
    // Objects.
    on_object("CopyObject", "PUT", run!(copy::object))
        .when(&[When::Copies])
        .needs(&[right(Action::PutObject, Target::Object), READ_SOURCE])
        .needs_for(&ATTRIBUTES)
        .by_etag()
        .owner(OwnerCheck::Inside),
    on_object("PutObject", "PUT", run!(objects::put))
        .needs(&[right(Action::PutObject, Target::Object)])
        .needs_for(&ATTRIBUTES)
        .with_body()
        .by_etag()
        .owner(OwnerCheck::Inside),
    POST_OBJECT_ROW,
    on_object("GetObject", "GET", run!(&objects::get)).needs(&[READ]).of_version().owner(OwnerCheck::Inside),
    on_object("HeadObject", "HEAD", run!(&objects::head)).needs(&[READ]).of_version().owner(OwnerCheck::Inside),
    on_object("GetObjectAttributes", "GET", run!(&attributes::get))
        .at("attributes")
        .needs(&[READ, either(Action::GetObjectAttributes, Action::GetObjectVersionAttributes, Target::Object)])
        .of_version()
        .owner(OwnerCheck::Inside)
        .listing(),
    on_object("GetObjectAcl", "GET", run!(&acl::of_object))
        .at("acl")
        .needs(&[either(Action::GetObjectAcl, Action::GetObjectVersionAcl, Target::Object)])
        .of_version(),
    on_object("PutObjectAcl", "PUT", run!(acl::put_of_object))
        .at("acl")
        .needs(&[either(Action::PutObjectAcl, Action::PutObjectVersionAcl, Target::Object)])
        .of_version()
        .with_body(),
    on_object("GetObjectTagging", "GET", run!(&tagging::of_object))
        .at("tagging")
        .needs(&[either(Action::GetObjectTagging, Action::GetObjectVersionTagging, Target::Object)])
        .of_version()
        .owner(OwnerCheck::Inside),
    on_object("PutObjectTagging", "PUT", run!(tagging::put_of_object))
        .at("tagging")
        .needs(&[either(Action::PutObjectTagging, Action::PutObjectVersionTagging, Target::Object)])
        .of_version()
        .with_body()
        .owner(OwnerCheck::Inside),
    on_object("DeleteObjectTagging", "DELETE", run!(&tagging::delete_of_object))
        .at("tagging")
        .needs(&[either(Action::DeleteObjectTagging, Action::DeleteObjectVersionTagging, Target::Object)])
        .of_version()
        .owner(OwnerCheck::Inside),
    on_object("GetObjectRetention", "GET", run!(&object_lock::retention))
        .at("retention")
        .needs(&[right(Action::GetObjectRetention, Target::Object)])
        .of_version()
        .owner(OwnerCheck::Inside),
    on_object("PutObjectRetention", "PUT", run!(object_lock::put_retention))
        .at("retention")
        .needs(&[right(Action::PutObjectRetention, Target::Object)])
        .of_version()
        .with_body()
        .owner(OwnerCheck::Inside),
    on_object("GetObjectLegalHold", "GET", run!(&object_lock::legal_hold))
        .at("legal-hold")
        .needs(&[right(Action::GetObjectLegalHold, Target::Object)])
        .of_version()
        .owner(OwnerCheck::Inside),
    on_object("PutObjectLegalHold", "PUT", run!(object_lock::put_legal_hold))
        .at("legal-hold")
        .needs(&[right(Action::PutObjectLegalHold, Target::Object)])
        .of_version()
        .with_body()
        .owner(OwnerCheck::Inside),
    on_object("UpdateObjectEncryption", "PUT", run!(object_encryption::update))
        .at("encryption")
        .needs(&[right(Action::UpdateObjectEncryption, Target::Object)])
        .of_version()
        .with_body(),
    on_object("DeleteObject", "DELETE", run!(&delete::one))
        .needs(&[either(Action::DeleteObject, Action::DeleteObjectVersion, Target::Object)])
        .of_version()
        .by_etag()
        .owner(OwnerCheck::Inside),
    // Multipart uploads.
    on_object("CreateMultipartUpload", "POST", run!(&multipart::create))
        .at("uploads")
        .needs(&[right(Action::PutObject, Target::Object)])
        .needs_for(&ATTRIBUTES)
        .owner(OwnerCheck::Inside),
    on_object("UploadPartCopy", "PUT", run!(&copy::part))
        .at("uploadId")
        .when(&[When::Has("partNumber"), When::Copies])
        .needs(&[right(Action::PutObject, Target::Object), READ_SOURCE])
        .facts(Facts::Upload)
        .owner(OwnerCheck::Inside),
    on_object("UploadPart", "PUT", run!(multipart::upload_part))
        .at("uploadId")
        .when(&[When::Has("partNumber")])
        .needs(&[right(Action::PutObject, Target::Object)])
        .facts(Facts::Upload)
        .with_body()
        .owner(OwnerCheck::Inside),
    on_object("CompleteMultipartUpload", "POST", run!(multipart::complete))
        .at("uploadId")
        .needs(&[right(Action::PutObject, Target::Object)])
        .facts(Facts::Upload)
        .with_body()
        .by_etag()
        .owner(OwnerCheck::Inside),
    on_object("AbortMultipartUpload", "DELETE", run!(&multipart::abort))
        .at("uploadId")
        .needs(&[right(Action::AbortMultipartUpload, Target::Object)]),
    on_object("ListParts", "GET", run!(&uploads::list_parts))
        .at("uploadId")
        .needs(&[right(Action::ListMultipartUploadParts, Target::Object)])
        .listing(),
];

/// PutObject, by a form. The key is the form's, so the bucket is all that the path names.
const POST_OBJECT_ROW: Operation = on_bucket("PostObject", "POST", run!(forms::post))
    .when(&[When::Form])
    .needs(&[right(Action::PutObject, Target::Object)])
    .needs_for(&ATTRIBUTES)
    .with_body()
    .owner(OwnerCheck::Inside);

/// [`POST_OBJECT_ROW`], which no look at a request's head finds.
pub(super) static POST_OBJECT: Operation = POST_OBJECT_ROW;

/// A page of a thousand entries with names of 200 characters.
const LISTING_BYTES: usize = 512 << 10;

/// The headers that give tags and locks to a new object.
const ATTRIBUTES: [HeaderRight; 7] = [
    for_header(TAGGING_HEADER, Action::PutObjectTagging, Target::Object),
    for_header(RETENTION_HEADERS[0], Action::PutObjectRetention, Target::Object),
    for_header(RETENTION_HEADERS[1], Action::PutObjectRetention, Target::Object),
    for_header(RETENTION_HEADERS[2], Action::PutObjectRetention, Target::Object),
    for_header(RETENTION_HEADERS[3], Action::PutObjectRetention, Target::Object),
    for_header(RETENTION_HEADERS[4], Action::PutObjectRetention, Target::Object),
    for_header(LEGAL_HOLD_HEADER, Action::PutObjectLegalHold, Target::Object),
];

const READ: Right = either(Action::GetObject, Action::GetObjectVersion, Target::Object);
const READ_SOURCE: Right = either(Action::GetObject, Action::GetObjectVersion, Target::CopySource);

const fn right(action: Action, on: Target) -> Right {
    either(action, action, on)
}

const fn either(action: Action, of_version: Action, on: Target) -> Right {
    Right { action, of_version, on }
}

const fn for_header(name: &'static str, action: Action, on: Target) -> HeaderRight {
    HeaderRight { name, is_flag: false, right: right(action, on) }
}

const fn for_flag(name: &'static str, action: Action, on: Target) -> HeaderRight {
    HeaderRight { is_flag: true, ..for_header(name, action, on) }
}

const fn on_service(name: &'static str, method: &'static str, handler: Handler) -> Operation {
    new(name, method, Resource::Service, handler).owner(OwnerCheck::Never)
}

const fn on_bucket(name: &'static str, method: &'static str, handler: Handler) -> Operation {
    new(name, method, Resource::Bucket, handler)
}

const fn on_object(name: &'static str, method: &'static str, handler: Handler) -> Operation {
    new(name, method, Resource::Object, handler)
}

const fn new(name: &'static str, method: &'static str, on: Resource, handler: Handler) -> Operation {
    Operation {
        name,
        method,
        on,
        subresource: None,
        when: &[],
        takes_version: false,
        takes_body: false,
        rights: &[],
        header_rights: &[],
        facts: Facts::Headers,
        compares_etag: false,
        owner_check: OwnerCheck::Before,
        reply_bytes: 0,
        handler,
    }
}

impl Operation {
    const fn at(self, subresource: &'static str) -> Self {
        Self { subresource: Some(subresource), ..self }
    }

    const fn when(self, when: &'static [When]) -> Self {
        Self { when, ..self }
    }

    const fn needs(self, rights: &'static [Right]) -> Self {
        Self { rights, ..self }
    }

    const fn needs_for(self, header_rights: &'static [HeaderRight]) -> Self {
        Self { header_rights, ..self }
    }

    const fn of_version(self) -> Self {
        Self { takes_version: true, ..self }
    }

    const fn with_body(self) -> Self {
        Self { takes_body: true, ..self }
    }

    const fn facts(self, facts: Facts) -> Self {
        Self { facts, ..self }
    }

    const fn by_etag(self) -> Self {
        Self { compares_etag: true, ..self }
    }

    /// A page of up to a thousand entries.
    const fn listing(self) -> Self {
        Self { reply_bytes: LISTING_BYTES, ..self }
    }

    const fn owner(self, owner_check: OwnerCheck) -> Self {
        Self { owner_check, ..self }
    }
}
